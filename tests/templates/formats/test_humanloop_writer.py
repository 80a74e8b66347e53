"""Humanloop's files are written as Humanloop writes them, or not at all."""

from hypothesis import given, settings
from msgspec.structs import replace

from prompt_resolver_server.assembly.stores import EXAMPLES
from prompt_resolver_server.domain.parameters import Parameters
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Template,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.templates.formats.files import parse_prompt_file
from prompt_resolver_server.templates.formats.humanloop_writer import write_prompt_file
from tests.support.templates import plain_templates

HELLO = Template(
    id="p",
    name="p",
    version="1",
    content_sha256="0",
    location="p",
    model="gpt-4o",
    provider="openai",
    parameters=Parameters(temperature=0.0, stop=("\n\n",)),
    tools=(Tool(name="look", description="Look it up"),),
    messages=(
        Message(role="system", content=(Text("You are {{who}}.\n\n  Be brief."),)),
        Message(
            role="user",
            content=(Text("Which one?"), Media(kind="image", url="{{photo}}", detail="low")),
        ),
        Message(
            role="assistant", tool_calls=(ToolCall(id="c1", name="look", arguments_json="{}"),)
        ),
        Message(role="tool", content=(Text("found"),), name="look", tool_call_id="c1"),
    ),
)

WRITTEN = """\
---
model: gpt-4o
temperature: 0.0
stop: ["\\n\\n"]
provider: openai
endpoint: chat
tools: [
  {
    "name": "look",
    "description": "Look it up"
  }
]
---

<system>
  You are {{who}}.

    Be brief.
</system>

<user>
  <text>
    Which one?
  </text>
  <image url="{{photo}}" detail="low" />
</user>

<assistant>
  <tool name="look" id="c1">
    {}
  </tool>
</assistant>

<tool name="look" id="c1">
  found
</tool>
"""


def test_chat() -> None:
    """A chat is written in blocks, its parameters above them."""
    content = write_prompt_file(HELLO)

    assert content is not None
    assert content.decode() == WRITTEN


def test_completion() -> None:
    """A prompt that is one text is written as that text."""
    message = Message(role="user", content=(Text("Product: {{product}}\n\nAdvert:\n"),))

    content = write_prompt_file(
        replace(HELLO, messages=(message,), as_text=True, tools=(), language="jinja")
    )

    assert content is not None
    assert content.decode().endswith(
        "endpoint: complete\ntemplate_language: jinja\n---\n\nProduct: {{product}}\n\nAdvert:\n\n"
    )


def test_what_the_format_cannot_say() -> None:
    """What would be read back as something else is not written."""

    def write(text: str) -> bytes | None:
        return write_prompt_file(
            replace(HELLO, messages=(Message(role="user", content=(Text(text),)),))
        )

    assert write("Hi") is not None
    assert write("  all of it\n  indented") is None
    assert write("a\r\nb") is None
    assert write("{{#if x}}y{{/if}}") is None
    assert write_prompt_file(replace(HELLO, tool_choice=ToolChoice(mode="auto"))) is None
    assert write_prompt_file(replace(HELLO, language="langfuse")) is None


def test_examples() -> None:
    """The examples are written so that they are read as the same prompts."""
    for path in EXAMPLES.rglob("*.prompt"):
        file = parse_prompt_file(path.read_bytes())
        template = replace(
            HELLO,
            model=file.model,
            provider=file.provider,
            parameters=file.parameters,
            tools=file.tools,
            messages=file.messages,
        )

        content = write_prompt_file(template)

        assert content is not None
        assert parse_prompt_file(content) == file


@settings(max_examples=100)
@given(plain_templates)
def test_any_template(template: Template) -> None:
    """Whatever is written is read back as it was."""
    content = write_prompt_file(template)

    if content is not None:
        file = parse_prompt_file(content)
        assert (file.messages, file.parameters) == (template.messages, template.parameters)


def test_name_of_the_limit() -> None:
    """A limit by the name that the format lacks is among the others, and read from there."""
    named = Parameters(max_tokens=9, limit_name="max_completion_tokens", extra={"top_a": 0.5})

    content = write_prompt_file(replace(HELLO, parameters=named))

    assert content is not None
    assert b'other: {"max_completion_tokens": 9, "top_a": 0.5}' in content
    assert parse_prompt_file(content).parameters == named


def test_parameters_that_the_format_lacks() -> None:
    """What the format has no key for is among the others, and read from there."""
    lacking = Parameters(top_k=3, parallel_tool_calls=False, extra={"top_a": 0.5})

    content = write_prompt_file(replace(HELLO, parameters=lacking))

    assert content is not None
    assert b'other: {"top_k": 3, "parallel_tool_calls": false, "top_a": 0.5}' in content
    assert parse_prompt_file(content).parameters == lacking
