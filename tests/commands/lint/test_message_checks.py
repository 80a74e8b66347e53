"""What is wrong with the messages of a prompt is told, with its place."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from prompt_resolver_server.commands.lint.findings import Findings
from prompt_resolver_server.commands.lint.message_checks import check_messages
from prompt_resolver_server.commands.lint.source import Source
from prompt_resolver_server.domain.prompts import Message, Placeholder, Template, Text
from tests.support.linting import codes, lint
from tests.support.prompts import write_prompt

PROMPT = Template(id="p", name="p", version="1", content_sha256="0", location="p.prompt", model="m")


def check(text: str = "Hi", **fields: object) -> list[tuple[str, int | None, int | None]]:
    """Return what is wrong with a template of one text, whose file is that text alone."""
    template = replace(PROMPT, messages=(Message(role="user", content=(Text(text),)),), **fields)
    findings = Findings("p.prompt")
    check_messages(template, Source(text.encode()), findings)
    return codes(tuple(findings))


@pytest.mark.parametrize("word", ["sytem", "USER", "System", "human", "assistent", "user"])
def test_almost_messages(word: str) -> None:
    """What was meant to begin a message, where none does, is told with its line and column."""
    assert check(f"Note:\n <{word}>\nBe brief.\n</{word}>") == [("role-literal", 2, 2)]


@pytest.mark.parametrize(
    "word",
    ["users", "document", "tools", "context", "ecosystem", "subsystem", "assistance", "stool"],
)
def test_other_tags(word: str) -> None:
    """Tags that nobody takes for a message's are left alone, and so is a role within a line."""
    assert check(f"<{word}>\n{{{{x}}}}\n</{word}>\nAsk the <user> or the system.") == []


async def test_example_of_a_message(tmp_path: Path) -> None:
    """In a message, what looks like another one may be an example of one."""
    path = write_prompt(tmp_path, "p", "<user>\nWrite one:\n  <system>\n  Hi\n  </system>\n</user>")

    assert codes(await lint(path)) == []


@pytest.mark.parametrize("start", ["<system>", "\n\n <user>", '<tool name="t" id="1">'])
async def test_messages_in_one_text(tmp_path: Path, start: str) -> None:
    """Blocks in a file that says it is one text are one message, which nobody means."""
    path = write_prompt(
        tmp_path, "p", f"{start}\nfoo\n</x>\n<user>\nhi\n</user>", endpoint="complete"
    )

    (finding,) = await lint(path)

    assert finding.code == "role-literal"
    assert "`endpoint: chat`" in finding.message
    assert path.read_text().split("\n")[(finding.line or 0) - 1].strip() == start.strip()


async def test_one_text(tmp_path: Path) -> None:
    """One text without blocks is a completion, which is meant."""
    assert await lint(write_prompt(tmp_path, "p", "Product: {{x}}", endpoint="complete")) == ()


async def test_no_message(tmp_path: Path) -> None:
    """A prompt without any message is told, unless the caller has a place in it."""
    template = replace(PROMPT, placeholders=(Placeholder("history", 0),))
    findings = Findings("p.prompt")

    check_messages(template, Source(b""), findings)

    assert list(findings) == []
    assert codes(await lint(write_prompt(tmp_path, "p", ""))) == [("message-missing", None, None)]


def calling(arguments: str, call: str = "1", answered: str = "1", name: str = "t") -> str:
    """Return a body in which a tool is called and answers."""
    return (
        f'<assistant>\n<tool name="{name}" id="{call}">\n{arguments}\n</tool>\n</assistant>\n'
        f'<tool name="t" id="{answered}">\nx\n</tool>'
    )


@pytest.mark.parametrize("language", ["default", "jinja"])
@pytest.mark.parametrize("arguments", ["{not json", "[1]", "s3cret", '{"a": 1,}', "1"])
async def test_arguments(tmp_path: Path, arguments: str, language: str) -> None:
    """Arguments that are no JSON object are an error, with the place of the call."""
    path = write_prompt(tmp_path, "p", calling(arguments), template_language=language)

    (finding,) = await lint(path)

    assert (finding.code, finding.line) == ("arguments-invalid", 8)
    assert arguments not in finding.message


@pytest.mark.parametrize("arguments", ["", "{}", '{"a": "{{x}}"}', '{"a": {{x}}}', "{{x}}"])
async def test_arguments_that_may_be_right(tmp_path: Path, arguments: str) -> None:
    """Arguments that are a JSON object, or may become one, are right."""
    assert await lint(write_prompt(tmp_path, "p", calling(arguments))) == ()


async def test_variables_in_attributes(tmp_path: Path) -> None:
    """A variable in an id or a name is text, as it is where blocks are read; it is told once."""
    path = write_prompt(tmp_path, "p", calling("{}", "{{call}}", "{{call}}", "{{ tool }}"))

    findings = await lint(path)

    assert [(each.code, each.line) for each in findings] == [
        *(("variable-literal", 7), ("variable-literal", 7)),
    ]


async def test_answers_to_no_call(tmp_path: Path) -> None:
    """A tool's answer to a call that does not stand before it is an error, with its place."""
    findings = await lint(write_prompt(tmp_path, "p", calling("{}", answered="nope")))

    assert codes(findings) == [("tool-call-missing", 11, 20)]


@pytest.mark.parametrize(("position", "found"), [(0, []), (1, [("tool-call-missing", None, None)])])
def test_answers_to_the_callers(
    position: int, found: list[tuple[str, int | None, int | None]]
) -> None:
    """Where messages of the caller's may stand before it, one of them may be the call."""
    answer = Message(role="tool", content=(Text("x"),), tool_call_id="1")
    template = replace(PROMPT, messages=(answer,), placeholders=(Placeholder("history", position),))
    findings = Findings("p.prompt")

    check_messages(template, Source(b""), findings)

    assert codes(tuple(findings)) == found
