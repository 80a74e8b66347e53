"""What Humanloop's API answers is read into the template that it means."""

import json
from collections.abc import Mapping

import pytest

from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Parameters
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    PromptRef,
    Reasoning,
    Template,
    Text,
    Tool,
    ToolCall,
)
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.formats.fields import FieldError
from prompt_resolver_server.templates.humanloop.prompt import read_prompt

SMALLEST = {"id": "pr_1", "version_id": "prv_1", "model": "gpt-4o"}


def read_for(ref: PromptRef, fields: Mapping[str, object]) -> Template:
    return read_prompt(json.dumps({**SMALLEST, **fields}).encode(), ref)


def read(**fields: object) -> Template:
    return read_for(PromptRef(id="a/b"), fields)


def messages(template: object) -> tuple[Message, ...]:
    return read(template=template).messages


def test_smallest() -> None:
    """An answer with an id, a version and a model is enough."""
    template = read()

    assert (template.id, template.version, template.model) == ("pr_1", "prv_1", "gpt-4o")
    assert (template.name, template.location, template.environment) == ("b", "a/b", "")
    assert (template.messages, template.tools, template.provider) == ((), (), None)
    assert template.parameters == NO_PARAMETERS


def test_null_is_absent() -> None:
    """A field that is null means what a missing one means, to the hash as well."""
    names = (
        *("template", "template_language", "provider", "endpoint", "max_tokens", "temperature"),
        *("top_p", "stop", "seed", "other", "response_format", "reasoning_effort", "tools"),
        *("linked_tools", "environments", "name", "path", "evaluators"),
    )

    template = read(**dict.fromkeys(names))

    assert template.content_sha256 == read().content_sha256
    assert (template.parameters, template.language) == (NO_PARAMETERS, "default")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, ()),
        ([], ()),
        ("", ()),
        (" \n", ()),
        ("Hi {{x}}\n", (Message(role="user", content=(Text("Hi {{x}}\n"),)),)),
        ({"role": "system", "content": "a"}, (Message(role="system", content=(Text("a"),)),)),
        ([{"role": "developer"}], (Message(role="developer"),)),
        ([{"role": "user", "content": None}], (Message(role="user"),)),
        ([{"role": "user", "content": []}], (Message(role="user"),)),
        (
            [{"role": "user", "content": "a", "name": "Ada", "tool_calls": None, "new": 1}],
            (Message(role="user", content=(Text("a"),), name="Ada"),),
        ),
    ],
)
def test_templates(template: object, expected: tuple[Message, ...]) -> None:
    """A template is nothing, a text, one message or a list of them."""
    assert messages(template) == expected


def test_parts() -> None:
    """Texts, images, thoughts, tool calls and their answers become what they are."""
    image = {"url": "data:image/png;base64,AA==", "detail": "low"}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    read_messages = messages(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": image},
                    {"type": "image_url", "image_url": {"url": "{{u}}"}},
                ],
            },
            {
                "role": "assistant",
                "content": "b",
                "thinking": [
                    {"type": "thinking", "thinking": "hm", "signature": "sé"},
                    {"type": "redacted_thinking", "data": "xyz"},
                ],
                "tool_calls": [call, {"id": "c2", "function": {"name": "g"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "found"},
        ]
    )

    assert read_messages == (
        Message(
            role="user",
            content=(
                Text("a"),
                Media(kind="image", url="data:image/png;base64,AA==", detail="low"),
                Media(kind="image", url="{{u}}"),
            ),
        ),
        Message(
            role="assistant",
            content=(
                Reasoning(text="hm", signature="sé".encode()),
                Reasoning(redacted=b"xyz"),
                Text("b"),
            ),
            tool_calls=(
                ToolCall(id="c1", name="f", arguments_json='{"a": 1}'),
                ToolCall(id="c2", name="g", arguments_json="{}"),
            ),
        ),
        Message(role="tool", content=(Text("found"),), name="f", tool_call_id="c1"),
    )


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (5, "template: expected text or a list of messages, got a number"),
        (True, "template: expected text or a list of messages, got true or false"),
        (["x"], "template.0: expected a message, got text"),
        ([{}], "template.0.role: expected one of system, developer, user, assistant, tool"),
        ([{"role": "SECRET"}], "template.0.role: expected one of"),
        ([{"role": ["user"]}], "template.0.role: expected one of"),
        ([{"role": "user", "content": 5}], "template.0.content: expected text or a list of parts"),
        ([{"role": "user", "content": ["x"]}], "template.0.content.0: expected a mapping, got te"),
        ([{"role": "user", "content": [{}]}], "template.0.content.0.type: expected text or image"),
        (
            [{"role": "user", "content": [{"type": "text"}]}],
            "template.0.content.0.text: expected text, got nothing",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "SECRET"}]}],
            "template.0.content.0.image_url: expected a mapping, got text",
        ),
        ([{"role": "user", "name": 5}], "template.0.name: expected text, got a number"),
        ([{"role": "tool", "tool_call_id": 5}], "template.0.tool_call_id: expected text, got a"),
        ([{"role": "assistant", "tool_calls": {}}], "template.0.tool_calls: expected a list"),
        ([{"role": "assistant", "tool_calls": [{}]}], "template.0.tool_calls.0.function: expected"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}],
            "template.0.tool_calls.0.function.name: expected text, got nothing",
        ),
        (
            [{"role": "assistant", "thinking": [{}]}],
            "template.0.thinking.0.type: expected thinking",
        ),
    ],
)
def test_illegal_templates(template: object, told: str) -> None:
    """What is no template is refused with its place, and without its value."""
    with pytest.raises(AnswerError) as caught:
        messages(template)

    assert str(caught.value).startswith(told)
    assert "SECRET" not in str(caught.value)


def test_parameters() -> None:
    """Parameters are read as a file's are: -1 is no limit, a number may tell the effort."""
    parameters = read(
        max_tokens=-1, temperature=0, stop="END", reasoning_effort=1024, other={"logit_bias": {}}
    ).parameters

    assert (parameters.max_tokens, parameters.temperature) == (None, 0.0)
    assert (parameters.stop, parameters.reasoning_effort) == (("END",), "1024")
    assert parameters.extra == {"logit_bias": {}}


def test_linked_tools_follow_tools() -> None:
    """Linked tools are tools like the others, and come after them."""
    template = read(
        tools=[{"name": "a", "description": "A", "strict": True, "parameters": {"type": "object"}}],
        linked_tools=[{"name": "b", "strict": None, "id": "tl_1", "version_id": "tlv_1"}],
    )

    assert template.tools == (
        Tool(name="a", description="A", strict=True, parameters={"type": "object"}),
        Tool(name="b"),
    )


def test_language_is_kept() -> None:
    """A language that is not rendered is told to whoever renders."""
    assert read(template_language="jinja").language == "jinja"


@pytest.mark.parametrize("field", ["tools", "linked_tools", "stop", "temperature", "provider"])
def test_parameters_are_the_authors(field: str) -> None:
    """What an author sets wrongly is told with its field."""
    with pytest.raises(FieldError) as caught:
        read(**{field: {"SECRET": 1}})

    assert caught.value.path == (field,)
    assert "SECRET" not in caught.value.problem


PRODUCTION = {"id": "env_1", "name": "live", "tag": "default"}


@pytest.mark.parametrize(
    ("ref", "listed", "expected"),
    [
        (PromptRef(id="a"), [{"name": "production", "tag": "other"}, PRODUCTION], "live"),
        (PromptRef(id="a"), [{"name": "production", "tag": "other"}], ""),
        (PromptRef(id="a"), [5, {"tag": "default", "name": 5}], ""),
        (PromptRef(id="a"), "nonsense", ""),
        (PromptRef(id="a", environment="live"), [PRODUCTION], "live"),
        (PromptRef(id="a", version="prv_1"), [PRODUCTION], ""),
    ],
)
def test_environment(ref: PromptRef, listed: object, expected: str) -> None:
    """The default environment is the one with that tag, whatever it is called."""
    assert read_for(ref, {"environments": listed}).environment == expected


def test_others_that_have_a_field_here() -> None:
    """What the API has no field for stands in `other`; null there means not set, whatever it is."""
    others = {"top_k": 40.0, "parallel_tool_calls": False, "user": "u"}

    template = read(other={**others, "temperature": None, "api_base": None})

    assert template.parameters == Parameters(
        top_k=40, parallel_tool_calls=False, extra={"user": "u"}
    )
    assert read(other={"top_k": None}).parameters == NO_PARAMETERS


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"top_k": 0}, "expected a whole number from 1"),
        ({"top_k": "SECRET"}, "expected a whole number, got text"),
        ({"parallel_tool_calls": 1}, "expected true or false, got a number"),
        ({"topK": 1}, "refused, as it has a field of its own"),
    ],
)
def test_others_that_are_no_parameters(other: Mapping[str, object], problem: str) -> None:
    """What stands in `other` is told with its place there."""
    with pytest.raises(FieldError) as caught:
        read(other=other)

    assert (caught.value.path, caught.value.problem) == (("other", *other), problem)


@pytest.mark.parametrize(
    "extension",
    [5, {"defaults": []}, {"partials": {"a": 1}}, {"tool_choice": {"mode": "any"}}],
)
def test_illegal_extension(extension: object) -> None:
    """What no service writes is no answer."""
    with pytest.raises(AnswerError, match="prompt_resolver: expected what this service writes"):
        read(prompt_resolver=extension)


def test_hash_tells_what_is_served() -> None:
    """The hash is of everything that is served, and of nothing else."""
    tool = {"name": "a", "description": "A"}
    changes: list[dict[str, object]] = [
        {},
        {"template": "x"},
        {"model": "other"},
        {"provider": "openai"},
        {"temperature": 0.5},
        {"other": {"a": 1}},
        {"template_language": "jinja"},
        {"prompt_resolver": {"defaults": {"a": 1}}},
        {"tools": [tool]},
        {"linked_tools": [tool]},
        {"linked_tools": [{**tool, "description": "B"}]},
    ]
    same: list[dict[str, object]] = [
        {"total_logs_count": 9, "updated_at": "now", "readme": "x", "something_new": {}},
        {"tools": [], "linked_tools": []},
        {"version_id": "prv_2"},
    ]

    assert len({read(**change).content_sha256 for change in changes}) == len(changes)
    assert {read(**change).content_sha256 for change in same} == {read().content_sha256}
