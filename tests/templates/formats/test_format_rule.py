"""The format of a `.prompt` file is told by its signs, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.templates.formats.files import parse_prompt_file
from prompt_resolver_server.templates.formats.format_rule import (
    BY_SIGNS,
    FormatRule,
    PromptFormat,
    find_signs,
)
from prompt_resolver_server.templates.formats.prompt_file import PromptFileError, read_source

HUMANLOOP_HEADERS = [
    *("provider: openai", "endpoint: complete", "presence_penalty: 0", "frequency_penalty: 0"),
    *("reasoning_effort: low", "template_language: default", "max_iterations: 3"),
    "tools: [{name: f}]",
]
DOTPROMPT_HEADERS = [
    *("config: {}", "input: {}", "output: {}", "variant: v", "toolDefs: []", "ext: {}"),
    *("a.b: c", "tools: [f]"),
]
HUMANLOOP_BODIES = [f"\n  <{tag}>\nHi" for tag in ("system", "user", "assistant", "developer")]
HUMANLOOP_BODIES += ["<tool name='f' id='i'>"]
DOTPROMPT_BODIES = [
    *('{{role "system"}}Hi', "{{ role 'user' }}", "{{media url=photo}}", "{{#if x}}y{{/if}}"),
    *("{{> footer}}", "{{~#each x~}}", '{{section "a"}}', "{{history}}", "{{ media }}", "{{role}}"),
]
LITELLM_BODIES = ["System: be brief", "\n\nUser: hi", "Assistant: yes", "Hi {% if x %}y{% endif %}"]
UNMARKED = [
    *("", "Hello {{name}}", "---\nmodel: a/b\n---\nHello {{name}}", "---\n---\n"),
    *("---\nmodel: m\ntemperature: 1\nmax_tokens: 9\ntop_p: 1\nstop: x\nseed: 1\n---\nHi {{x}}",),
    *("---\nmodel: m\ntools: []\n---\nA <user> here, System: there",),
]


def told(header: str, body: str) -> PromptFormat:
    return BY_SIGNS.tell(read_source(f"---\n{header}\n---\n{body}".encode()))


def refusal(text: str, rule: FormatRule = BY_SIGNS) -> str:
    with pytest.raises(PromptFileError) as caught:
        rule.tell(read_source(text.encode()))
    return caught.value.problem


@pytest.mark.parametrize("header", HUMANLOOP_HEADERS)
def test_header_of_humanloop(header: str) -> None:
    """Each of Humanloop's fields tells its format, variables of whatever name included."""
    assert told(header, "Hi {{history}} {{role}}") == "humanloop"


@pytest.mark.parametrize("header", DOTPROMPT_HEADERS)
def test_header_of_dotprompt(header: str) -> None:
    """Each of dotprompt's fields tells its format."""
    assert told(header, "Hi {{name}}") == "dotprompt"


@pytest.mark.parametrize("body", HUMANLOOP_BODIES)
def test_body_of_humanloop(body: str) -> None:
    """A block at the beginning of the body tells Humanloop's format."""
    assert told("model: m", body) == "humanloop"


@pytest.mark.parametrize("body", DOTPROMPT_BODIES)
def test_body_of_dotprompt(body: str) -> None:
    """Handlebars tell a dotprompt, with a front matter or without."""
    assert told("model: m", body) == "dotprompt"
    assert BY_SIGNS.tell(read_source(body.encode())) == "dotprompt"


def test_jinja_of_humanloop() -> None:
    """Jinja's statements are Humanloop's where its header says that they are Jinja's."""
    assert told("template_language: jinja", "{% if x %}y{% endif %}") == "humanloop"


@pytest.mark.parametrize("header", HUMANLOOP_HEADERS)
@pytest.mark.parametrize("other", DOTPROMPT_HEADERS)
def test_two_formats(header: str, other: str) -> None:
    """Signs of two formats are an error that lists them and asks for the setting."""
    if header.startswith("tools") and other.startswith("tools"):
        return
    problem = refusal(f"---\n{header}\n{other}\n---\nHi")

    assert problem.startswith("expected signs of one format, got ")
    assert "Humanloop's format (" in problem
    assert "Google's dotprompt (" in problem
    assert "set `format: humanloop` or `format: dotprompt`" in problem


@pytest.mark.parametrize("text", UNMARKED)
def test_no_sign(text: str) -> None:
    """A file without any sign is an error that asks for the setting, or what the rule says."""
    assert "set `format: humanloop` or `format: dotprompt`" in refusal(text)
    assert FormatRule(otherwise="humanloop").tell(read_source(text.encode())) == "humanloop"


@pytest.mark.parametrize("body", LITELLM_BODIES)
def test_litellm(body: str) -> None:
    """LiteLLM's dialect is refused by its name, with what to do, whatever else is unmarked."""
    for rule in (BY_SIGNS, FormatRule(otherwise="humanloop")):
        problem = refusal(f"---\nmodel: m\ntemperature: 1\n---\n{body}", rule)
        assert "got LiteLLM's dialect" in problem
        assert "write each role as a block such as <system>" in problem


@pytest.mark.parametrize("own", ["temperature: 1", "max_tokens: 9", "top_p: 1"])
@pytest.mark.parametrize("shared", ["input: {schema: {}}", "output: {format: json}"])
def test_header_of_litellm(own: str, shared: str) -> None:
    """A field that LiteLLM shares with dotprompt is no dotprompt's beside a parameter."""
    problem = refusal(f"---\n{shared}\n{own}\n---\nHi {{{{name}}}}")

    assert "Google's dotprompt (`" in problem
    assert "LiteLLM's dialect (`" in problem


@pytest.mark.parametrize("text", [*UNMARKED, "System: a", "---\nendpoint: chat\nconfig: {}\n---\n"])
def test_setting_wins(text: str) -> None:
    """What the configuration says is the format, whatever the signs."""
    source = read_source(text.encode())

    assert FormatRule(always="dotprompt").tell(source) == "dotprompt"
    assert FormatRule(always="humanloop", otherwise="dotprompt").tell(source) == "humanloop"


def test_signs_quote_nothing() -> None:
    """An error names fields and lines, and quotes nothing of the prompt."""
    problem = refusal("---\nprovider: canary\ncanary.a: canary\n---\n\nSystem: canary")

    assert "canary" not in problem
    assert "`System:` in line 6" in problem


PIECES = st.sampled_from(
    [
        *("---\n", "# licence\n", "\n", "provider: p\n", "config: {}\n", "input: {}\n", "a.b: 1\n"),
        *("temperature: 1\n", "tools: [f]\n", "tools: [{}]\n", "<user>", "System:", "{{role 'u'}}"),
        *(
            "{{history}}",
            "{% if %}",
            "{{#if x}}",
            "model: a/b\n",
            "x",
            "template_language: jinja\n",
        ),
    ]
)


@given(st.lists(PIECES).map("".join))
def test_any_pieces(text: str) -> None:
    """Whatever a file is made of, its format is one that has signs alone, or an error."""
    try:
        source = read_source(text.encode())
    except PromptFileError:
        return
    formats = {sign.format for sign in find_signs(source)}
    try:
        found: str | None = BY_SIGNS.tell(source)
    except PromptFileError:
        found = None

    assert found == (formats.pop() if formats in ({"humanloop"}, {"dotprompt"}) else None)


@given(st.binary() | st.binary().map(lambda content: b"---\n" + content + b"\n---\n{{#if x}}"))
def test_any_bytes(content: bytes) -> None:
    """Any bytes at all are read as one of the formats, or refused with a line of theirs."""
    for rule in (BY_SIGNS, FormatRule(always="dotprompt"), FormatRule(always="humanloop")):
        line = 1
        try:
            parse_prompt_file(content, rule)
        except PromptFileError as error:
            line = error.line
        assert 1 <= line <= content.count(b"\n") + content.count(b"\r") + 2
