"""What Langfuse's API answers is read into the template that it means."""

import json

import pytest

from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Json, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Message,
    Placeholder,
    PromptRef,
    Template,
    Text,
    Tool,
    ToolChoice,
)
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.formats.fields import FieldError
from prompt_resolver_server.templates.langfuse.prompt import read_prompt

HELLO = PromptRef(id="team/hello")
SMALLEST = {"name": "team/hello", "version": 3, "labels": ["production"], "type": "text"}


def read_for(ref: PromptRef, **fields: object) -> Template:
    return read_prompt(json.dumps({**SMALLEST, "prompt": "one", **fields}).encode(), ref)


def read(**fields: object) -> Template:
    return read_for(HELLO, **fields)


def configured(**config: object) -> Template:
    return read(config=config)


def test_text() -> None:
    """A text is one message of the user's, in Langfuse's language."""
    template = read(prompt="Hi {{ x }}\n", createdAt="2026-05-01T12:00:00.000Z")

    assert template.messages == (Message(role="user", content=(Text("Hi {{ x }}\n"),)),)
    assert (template.id, template.name, template.version) == ("team/hello", "hello", "3")
    assert (template.language, template.as_text, template.environment) == (
        "langfuse",
        True,
        "production",
    )
    assert str(template.created_at) == "2026-05-01 12:00:00+00:00"
    assert (template.model, template.parameters) == (None, NO_PARAMETERS)


def test_chat() -> None:
    """A chat is its messages, and placeholders stand where they stood."""
    template = read(
        type="chat",
        prompt=[
            {"type": "placeholder", "name": "before"},
            {"role": "system", "content": "a", "type": "chatmessage"},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "content": "{{b}}", "new": 1},
            {"type": "placeholder", "name": "after"},
        ],
    )

    assert template.messages == (
        Message(role="system", content=(Text("a"),)),
        Message(role="user", content=(Text("{{b}}"),)),
    )
    assert template.placeholders == (
        Placeholder("before", 0),
        Placeholder("history", 1),
        Placeholder("after", 2),
    )
    assert not template.as_text


@pytest.mark.parametrize("prompt", ["", " \n"])
def test_blank(prompt: str) -> None:
    """A text with nothing in it is no message."""
    assert read(prompt=prompt).messages == ()


def test_config() -> None:
    """Model, parameters and tools are read by their customary names."""
    schema: Json = {"type": "object"}
    template = configured(
        model="openai/gpt-4o",
        provider="openai",
        temperature=0.2,
        top_p=0.9,
        top_k=40,
        max_tokens=5,
        max_completion_tokens=7,
        stop=["END"],
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        reasoning_effort="low",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        tool_choice={"type": "function", "function": {"name": "f"}},
        tools=[
            {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}},
            {"name": "g", "description": "Find"},
        ],
    )

    assert (template.model, template.provider) == ("openai/gpt-4o", "openai")
    assert template.parameters == Parameters(
        temperature=0.2,
        top_p=0.9,
        top_k=40,
        max_tokens=7,
        limit_name="max_completion_tokens",
        stop=("END",),
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        reasoning_effort="low",
        parallel_tool_calls=False,
        response_format=ResponseFormat(type="json_object"),
    )
    assert template.tools == (
        Tool(name="f", parameters={"type": "object"}, strict=True),
        Tool(name="g", description="Find"),
    )
    assert template.tool_choice == ToolChoice(tool_name="f")


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "custom"}])
def test_tools_as_anthropic_has_them(kind: dict[str, object]) -> None:
    """A tool in Anthropic's form keeps its schema."""
    schema: dict[str, Json] = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = {"name": "f", "description": "Find", "input_schema": schema, "strict": None, **kind}

    assert read(config={"tools": [tool]}).tools == (
        Tool(name="f", description="Find", parameters=schema),
    )


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "gpt-4o",
        5,
        {},
        {"model": None, "temperature": None, "tools": None, "max_tokens": -1, "stop": None},
        {"owner": "Ada", "api_base": "http://evil", "extra": {"n": 5}, "other": {"user": "x"}},
    ],
)
def test_what_is_for_the_author_alone(config: object) -> None:
    """Whatever else is in `config` is nobody's but its author's, and is passed on to nobody."""
    template = read(config=config)

    assert (template.model, template.provider, template.tools) == (None, None, ())
    assert template.parameters == NO_PARAMETERS


def test_hash() -> None:
    """The hash is of what is served, and of nothing beside it."""
    one = read(config={"temperature": 1}).content_sha256

    beside = {"config": {"temperature": 1, "owner": "Ada", "seed": None}, "tags": ["x"]}
    assert read(**beside, version=3, commitMessage="x").content_sha256 == one
    assert read(config={"temperature": 0}).content_sha256 != one
    assert read(config={"temperature": 1}, prompt="two").content_sha256 != one
    chat = [{"role": "user", "content": "one"}]
    assert read(config={"temperature": 1}, type="chat", prompt=chat).content_sha256 != one


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model": 5}, ("config.model", "expected text, got a number")),
        ({"temperature": "0.2"}, ("config.temperature", "expected a number, got text")),
        ({"max_tokens": 0}, ("config.max_tokens", "expected a number from 1, or -1 for")),
        ({"top_k": 0}, ("config.top_k", "expected a whole number from 1")),
        ({"top_k": "5"}, ("config.top_k", "expected a whole number, got text")),
        ({"parallel_tool_calls": 1}, ("config.parallel_tool_calls", "expected true or false")),
        ({"tool_choice": "any"}, ("config.tool_choice", "expected auto, none, required or")),
        ({"tools": {}}, ("config.tools", "expected a list of tools, got a mapping")),
        ({"tools": ["x"]}, ("config.tools.0", "expected a tool with a name, got text")),
        ({"tools": [{"type": "web_search"}]}, ("config.tools.0.type", "expected function")),
        ({"tools": [{"type": "custom", "name": "f"}]}, ("config.tools.0.type", "expected")),
        ({"tools": [{"name": "f", "inputSchema": {}}]}, ("config.tools.0.inputSchema", "expect")),
        (
            {"tools": [{"name": "f", "parameters": {}, "input_schema": {}}]},
            ("config.tools.0.input_schema", "expected"),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}, "input_schema": {}}]},
            ("config.tools.0.input_schema", "expected"),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "input_schema": {}}}]},
            ("config.tools.0.function.input_schema", "expected"),
        ),
        ({"tools": [{"type": "function", "function": {}}]}, ("config.tools.0.name", "expected")),
    ],
)
def test_illegal_config(config: object, told: tuple[str, str]) -> None:
    """What an author has to mend is told with its place."""
    with pytest.raises(FieldError) as caught:
        read(config=config)

    assert ".".join(map(str, caught.value.path)) == told[0]
    assert caught.value.problem.startswith(told[1])


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a @@@langfusePrompt:name=b|version=1@@@ c"},
        {"type": "chat", "prompt": [{"role": "user", "content": "@@@langfusePrompt:name=b|"}]},
    ],
)
def test_unresolved_reference(fields: dict[str, object]) -> None:
    """A reference to another prompt that Langfuse left in a text is no text to serve."""
    with pytest.raises(FieldError) as caught:
        read(**fields)

    assert caught.value.problem == (
        "expected no reference to a prompt that Langfuse has not resolved"
    )


def test_unknown_role() -> None:
    """Langfuse takes any text for a role; a role that is none is its author's to mend."""
    with pytest.raises(FieldError) as caught:
        read(type="chat", prompt=[{"role": "SECRET", "content": "x"}])

    assert caught.value.path == ("prompt", 0, "role")
    assert "SECRET" not in caught.value.problem


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "team/other"}, "name: expected the prompt that was asked for"),
        ({"name": None}, "name: expected text, got nothing"),
        ({"version": "3"}, "version: expected a whole number"),
        ({"version": True}, "version: expected a whole number"),
        ({"labels": None}, "labels: expected a list, got nothing"),
        ({"labels": ["latest"]}, "labels: expected the label that was asked for among them"),
        ({"type": "SECRET"}, "type: expected text or chat"),
        ({"type": None}, "type: expected text, got nothing"),
        ({"prompt": ["x"]}, "prompt: expected text, got a list"),
        ({"type": "chat"}, "prompt: expected a list, got text"),
        ({"type": "chat", "prompt": ["x"]}, "prompt.0: expected a mapping, got text"),
        ({"type": "chat", "prompt": [{"type": "message"}]}, "prompt.0.type: expected chatmessa"),
        ({"type": "chat", "prompt": [{"type": "placeholder"}]}, "prompt.0.name: expected text"),
        ({"type": "chat", "prompt": [{"role": "user"}]}, "prompt.0.content: expected text, got n"),
        ({"type": "chat", "prompt": [{"content": "x"}]}, "prompt.0.role: expected text, got noth"),
    ],
)
def test_illegal_answers(fields: dict[str, object], told: str) -> None:
    """An answer that is none of Langfuse's is told with its place, and without its value."""
    with pytest.raises(AnswerError) as caught:
        read(**fields)

    assert str(caught.value).startswith(told)
    assert "SECRET" not in str(caught.value)


def test_deep_config() -> None:
    """A configuration that is nested without end is none."""
    deep = b'{"response_format": ' + b"[" * 400 + b"]" * 400 + b"}"
    head = json.dumps({**SMALLEST, "prompt": "one"}).encode()

    with pytest.raises((AnswerError, FieldError)):
        read_prompt(head[:-1] + b', "config": ' + deep + b"}", HELLO)


@pytest.mark.parametrize(
    ("ref", "fields", "is_served"),
    [
        (PromptRef(id="team/hello", version="3"), {"labels": []}, True),
        (PromptRef(id="team/hello", version="4"), {}, False),
        (PromptRef(id="team/hello", environment="staging"), {"labels": ["staging"]}, True),
        (PromptRef(id="team/hello", environment="staging"), {}, False),
        (HELLO, {"labels": ["staging"]}, False),
    ],
)
def test_selector_is_honoured(ref: PromptRef, fields: dict[str, object], is_served: bool) -> None:
    """An answer in another version, or without the label that was asked for, is not believed."""
    if is_served:
        template = read_for(ref, **fields)
        assert (template.version, template.environment) == ("3", ref.environment or "")
    else:
        with pytest.raises(AnswerError):
            read_for(ref, **fields)
