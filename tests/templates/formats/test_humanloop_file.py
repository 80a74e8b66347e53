"""Humanloop's `.prompt` files are read as Humanloop reads them, and refused with their line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Media, Message, Text, ToolCall
from prompt_resolver_server.templates.formats.files import parse_prompt_file
from prompt_resolver_server.templates.formats.humanloop_file import parse_humanloop
from prompt_resolver_server.templates.formats.prompt_file import (
    MAX_BYTES,
    PromptFile,
    PromptFileError,
    read_source,
)


def parse(content: bytes) -> PromptFile:
    return parse_humanloop(read_source(content))


def read(body: str, header: str = "endpoint: chat") -> PromptFile:
    return parse(f"---\n{header}\n---\n{body}".encode())


def texts(file: PromptFile) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in file.messages]


def test_chat() -> None:
    """Blocks become messages, without what indents them and one newline at each end."""
    file = read(
        "\n<system>\n  You run {{shop}}.\n\n    Be brief.\n</system>\n\n<user>\n  {{q}}\n</user>\n"
    )

    assert texts(file) == [("system", "You run {{shop}}.\n\n  Be brief."), ("user", "{{q}}")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<user>Hi</user>", [("user", "Hi")]),
        ("<user>\nHi\n</user>", [("user", "Hi")]),
        ("<user>\n\nHi\n\n</user>\n", [("user", "\nHi\n")]),
        ("<user>Hi\nthere</user>", [("user", "Hi\nthere")]),
        ("<user>\r\n  Hi\r\n</user>\r\n", [("user", "Hi")]),
        ("<user>\n  Hi\n  </user>", [("user", "Hi")]),
        ("<developer>\nHi\n</developer>", [("developer", "Hi")]),
        ("<user>\nif a </user> then\n</user>", [("user", "if a </user> then")]),
        ("<user>\n<b>bold</b> & <br/>\n</user>", [("user", "<b>bold</b> & <br/>")]),
        ("<user>\n  <system>\n  text\n</user>", [("user", "<system>\ntext")]),
        ("<user>\n<username>\n</user>", [("user", "<username>")]),
        ("<user>\n  <tool>x</tool>\n</user>", [("user", "<tool>x</tool>")]),
        ("<user></user>", [("user", "")]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_blocks(body: str, expected: list[tuple[str, str]]) -> None:
    """Only a known tag at the start of a line is structure; everything else is text."""
    assert texts(read(body)) == expected


def test_parts_and_tools() -> None:
    """Texts, images, tool calls and their answers become what they are."""
    file = read(
        """
<user>
  <text>
    Which part? {{note}}
  </text>
  <image url="https://example.invalid/{{id}}.jpg" detail='low' />
  <image url="https://example.invalid/b.jpg"></image>
</user>
<assistant>
  Let me look.
  <tool name="find" id="c1">
    {"no": "KX-{{series}}"}
  </tool>
  <tool name="stop" id="c2"></tool>
</assistant>
<tool name="find" id="c1">
  {"title": "belt"}
</tool>
"""
    )

    assert file.messages == (
        Message(
            role="user",
            content=(
                Text("Which part? {{note}}"),
                Media(kind="image", url="https://example.invalid/{{id}}.jpg", detail="low"),
                Media(kind="image", url="https://example.invalid/b.jpg"),
            ),
        ),
        Message(
            role="assistant",
            content=(Text("Let me look."),),
            tool_calls=(
                ToolCall(id="c1", name="find", arguments_json='{"no": "KX-{{series}}"}'),
                ToolCall(id="c2", name="stop", arguments_json="{}"),
            ),
        ),
        Message(role="tool", content=(Text('{"title": "belt"}'),), name="find", tool_call_id="c1"),
    )


def test_completion() -> None:
    """A completion's body is one user message, whatever tags are in it."""
    file = read("\nProduct: {{p}}\n\n<user>\nAdvert:\n", "endpoint: complete")

    assert texts(file) == [("user", "Product: {{p}}\n\n<user>\nAdvert:")]


def test_endpoint_that_is_not_said() -> None:
    """Without an endpoint, the body tells which it is."""
    assert texts(read("<system>\nA\n</system>", "model: m")) == [("system", "A")]
    assert texts(read("Just text", "model: m")) == [("user", "Just text")]


def test_header() -> None:
    """The header's fields become model, provider, parameters and tools."""
    file = read(
        "",
        """model: gpt-4o
provider: openai
endpoint: chat
temperature: 0.3
max_tokens: 400
top_p: 1.0
presence_penalty: 0.1
frequency_penalty: -0.1
seed: 7
stop: ["\\n\\n"]
reasoning_effort: 2048
response_format: {"type": "json_object"}
other: {logit_bias: {"1": -1}, user: null}
attributes: {ticket: X-1}
unknown: kept for display
tools: [
  {
    "name": "find",
    "description": "Find it",
    "parameters": {"type": "object"},
    "strict": true
  }
]""",
    )

    assert (file.model, file.provider, file.language) == ("gpt-4o", "openai", "default")
    parameters = file.parameters
    assert (parameters.temperature, parameters.max_tokens, parameters.top_p) == (0.3, 400, 1.0)
    assert (parameters.presence_penalty, parameters.frequency_penalty) == (0.1, -0.1)
    assert (parameters.seed, parameters.stop) == (7, ("\n\n",))
    assert parameters.reasoning_effort == "2048"
    assert parameters.response_format is not None
    assert parameters.response_format.type == "json_object"
    assert parameters.extra == {"logit_bias": {"1": -1}}
    (tool,) = file.tools
    assert (tool.name, tool.description, tool.strict) == ("find", "Find it", True)
    assert tool.parameters == {"type": "object"}


def test_nulls_and_no_limit() -> None:
    """Null, and -1 tokens, mean "not set"; so do an empty header and a text that is empty."""
    header = "model: null\ntemperature: null\nmax_tokens: -1\ntools: []\nstop: null\nprovider: ''"

    file = read("", header)

    assert (file.model, file.provider, file.tools) == (None, None, ())
    assert file.parameters == NO_PARAMETERS
    assert parse(b"---\n---\n").messages == ()


@pytest.mark.parametrize(
    ("header", "line", "problem"),
    [
        ("model: [1]", 2, "model: expected text, got a list"),
        ("model: m\ntemperature: hot", 3, "temperature: expected a number, got text"),
        ("temperature: true", 2, "temperature: expected a number, got true or false"),
        ("temperature: .nan", 2, "temperature: expected a finite number"),
        ("temperature: -3", 2, "temperature: expected a number from 0"),
        ("top_p: 7", 2, "top_p: expected a number from 0 to 1"),
        ("max_tokens: 1.5", 2, "max_tokens: expected a whole number, got a number"),
        ("max_tokens: 0", 2, "max_tokens: expected a number from 1, or -1 for no limit"),
        ("max_tokens: 99999999999", 2, "max_tokens: expected a smaller number"),
        ("seed: 99999999999999999999", 2, "seed: expected a smaller number"),
        ("stop: {}", 2, "stop: expected text or a list of texts, got a mapping"),
        ("stop: [1]", 2, "stop.0: expected text, got a number"),
        ("reasoning_effort: []", 2, "reasoning_effort: expected a word or a whole number"),
        ("template_language: handlebars", 2, "template_language: expected default or jinja"),
        ("endpoint: edit", 2, "endpoint: expected chat or complete"),
        (
            "tools: [{name: t, parameters: {enum: [" + "0, " * 10_000 + "]}}]",
            2,
            "tools.0.parameters: expected at most 10000 values",
        ),
        ("tools: find", 2, "tools: expected a list of tools, got text"),
        ("tools: [find]", 2, "tools.0: expected a tool with a name, got text"),
        ("tools: [{}]", 2, "tools.0.name: expected the tool's name, got nothing"),
        ("tools: [{name: f, parameters: 1}]", 2, "tools.0.parameters: expected a JSON Schema"),
        ("tools: [{name: f, strict: 1}]", 2, "tools.0.strict: expected true or false"),
        ("tools: [{name: f, description: 1}]", 2, "tools.0.description: expected text"),
        ("response_format: json", 2, "response_format: expected a mapping with a type"),
        ("response_format: {type: xml}", 2, "response_format.type: expected text, json_object"),
        ("response_format: {type: json_schema}", 2, "response_format.json_schema: expected a"),
        (
            "response_format: {type: json_schema, json_schema: {schema: {}}}",
            2,
            "response_format.json_schema.name: expected the schema's name",
        ),
        (
            "response_format: {type: json_schema, json_schema: {name: n}}",
            2,
            "response_format.json_schema.schema: expected a JSON Schema",
        ),
        ("other: 1", 2, "other: expected a mapping, got a number"),
        ("other: {base_url: x}", 2, "other.base_url: refused, as it would decide where"),
        ("other: {temperature: 1}", 2, "other.temperature: refused, as it has a field"),
        (f"other: {{a: {'[' * 30}{']' * 30}}}", 2, "other: expected at most 30 levels"),
        (
            f"tools: [{{name: f, parameters: {'{a: ' * 31}1{'}' * 31}}}]",
            2,
            "tools.0.parameters: expected at most 30 levels",
        ),
        ("- a", 2, "expected a header of `name: value` lines"),
        ("a: 1\na: 2", 3, "expected each key once"),
        ("a: [", 2, "not valid YAML"),
    ],
)
def test_header_that_is_refused(header: str, line: int, problem: str) -> None:
    """A header's fault is told with its line, its field, and what was expected and came."""
    with pytest.raises(PromptFileError) as caught:
        read("<user>\nHi\n</user>", header)

    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line
    assert caught.value.forbidden == problem.startswith("other.")


@pytest.mark.parametrize(
    ("body", "line", "problem"),
    [
        ("\nHello\n", 5, "expected a block such as <user>, got text outside of blocks"),
        ("<user>\nHi\n</user>\nrest", 7, "expected a block such as <user>"),
        ("\n<user>\nHi\n", 5, "expected </user> to close this block"),
        ("<user>\nHi\n<system>\nx\n</system>\n</user>", 4, "expected </user> to close this"),
        ("<user>Hi\n</user> rest", 5, "expected nothing after </user> on its line"),
        ("<user broken>\nHi\n</user>", 4, "expected a block such as <user>"),
        ("<user>\n<image />\n</user>", 5, "expected the image's url"),
        ("<user>\n<text>\nHi\n</user>", 5, "expected </text> at the end of a line"),
        ("<assistant>\n<tool id='c'>\n</tool>\n</assistant>", 5, "expected the tool call's name"),
        ("<tool name='f'>\nx\n</tool>", 4, "expected the id of the tool call that this block"),
    ],
)
def test_body_that_is_refused(body: str, line: int, problem: str) -> None:
    """A body's fault is told with its line."""
    with pytest.raises(PromptFileError) as caught:
        read(body)

    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"", 1, "expected a header that begins with '---'"),
        (b"model: m\n", 1, "expected a header that begins with '---'"),
        (b"---\nmodel: m\n", 1, "expected a second '---' that ends the header"),
        (b"---\nmodel: m\n---\n\xff", 4, "expected UTF-8"),
        (b"---\na: [" + b"1," * 70_000 + b"]\n---\n", 1, "expected a header of at most 131072"),
        (b"x" * (MAX_BYTES + 1), 1, f"expected at most {MAX_BYTES} bytes"),
    ],
)
def test_file_that_is_refused(content: bytes, line: int, problem: str) -> None:
    """A file that is no prompt at all says what is missing."""
    with pytest.raises(PromptFileError) as caught:
        parse(content)

    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line


def test_file_with_a_byte_order_mark() -> None:
    """A byte order mark, as some editors write it, is no part of the header."""
    assert parse(b"\xef\xbb\xbf---\nmodel: m\n---").model == "m"


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    """Any bytes at all are read, or refused with a line."""
    refuse_or_read(content)


PIECES = [
    *("---\n", "<user>", "</user>", "<assistant>\n", "</assistant>\n", "<tool ", 'name="f" '),
    *('id="c">', "</tool>", "<text>", "</text>", "<image ", 'url="u"/>', "\n", "  ", "x", "{{v}}"),
    *("model: m\n", "tools: [", "]", "endpoint: chat\n", '"', "'", "<", ">", "&", "*", "!"),
]


@given(st.lists(st.sampled_from(PIECES)))
def test_any_pieces(pieces: list[str]) -> None:
    """Any arrangement of what prompts are made of is read, or refused with a line."""
    refuse_or_read(f"---\nendpoint: chat\n---\n{''.join(pieces)}".encode())
    refuse_or_read("".join(pieces).encode())


def refuse_or_read(content: bytes) -> None:
    line = 1
    try:
        parse(content)
    except PromptFileError as error:
        line = error.line

    assert 1 <= line <= len(content.splitlines()) + 2


LINE = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n<{", exclude_categories=["Cc", "Zs"]),
    min_size=1,
)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), LINE), min_size=1))
def test_what_is_written_is_read(messages: list[tuple[str, str]]) -> None:
    """Messages that are written as blocks are read as the same messages."""
    body = "\n".join(f"<{role}>\n  {text}\n</{role}>" for role, text in messages)

    assert texts(read(body)) == messages


def test_examples_are_read() -> None:
    """The example prompts are valid, and say what the documentation says of them."""
    from prompt_resolver_server.assembly.stores import EXAMPLES

    files = {
        str(path.relative_to(EXAMPLES)): parse_prompt_file(path.read_bytes())
        for path in EXAMPLES.rglob("*.prompt")
    }

    assert set(files) == {
        *("support/reply.prompt", "extract/invoice.prompt", "assistant/orders.prompt"),
        "vision/damage.prompt",
    }
    assert files["extract/invoice.prompt"].parameters.response_format is not None
    assert [tool.name for tool in files["assistant/orders.prompt"].tools] == [
        *("find_order", "open_ticket")
    ]
    assert any(
        isinstance(part, Media)
        for message in files["vision/damage.prompt"].messages
        for part in message.content
    )
