"""Anthropic's dialect: what is sent."""

import re

import pytest

from prompt_resolver_server.domain.parameters import (
    Json,
    JsonObject,
    JsonSchema,
    Parameters,
    ResponseFormat,
)
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialects.anthropic.dialect import AnthropicDialect
from tests.support.anthropic import Fields
from tests.support.dialects.requests import HI, Requests, say

DIALECT = AnthropicDialect()
REQUESTS = Requests(DIALECT)
build, refusal = REQUESTS.build, REQUESTS.refusal
FORM = ResponseFormat(
    type="json_schema", json_schema=JsonSchema(name="n", schema={"type": "object"}, strict=True)
)


def text(value: str) -> Fields:
    return {"type": "text", "text": value}


def test_smallest_request() -> None:
    """What is not set is not sent, but for the limit that the API cannot do without."""
    messages = [{"role": "user", "content": [text("Hi")]}]

    assert build() == ({"model": "m", "max_tokens": 4096, "messages": messages}, ())
    assert build(stream=True)[0]["stream"] is True
    assert REQUESTS.wire().path == REQUESTS.wire(stream=True).path == "/v1/messages"


def test_headers() -> None:
    """The version of the API goes with every request, the key where there is one."""
    assert DIALECT.headers(None) == {"anthropic-version": "2023-06-01"}
    assert DIALECT.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}


def test_parameters() -> None:
    """Every parameter of the API has its field, and extras are passed on as they are."""
    parameters = Parameters(
        temperature=0.0,
        top_p=0.5,
        max_tokens=10,
        stop=("a", "b"),
        reasoning_effort="low",
        top_k=3,
        response_format=FORM,
        extra={"metadata": {"user_id": "u"}},
    )

    body, dropped = build(parameters=parameters)

    assert dropped == ()
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 10,
        "stop_sequences": ["a", "b"],
        "top_k": 3,
        "output_config": {
            "effort": "low",
            "format": {"type": "json_schema", "schema": {"type": "object"}},
        },
        "metadata": {"user_id": "u"},
    }


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (Parameters(seed=1), "seed"),
        (Parameters(presence_penalty=0.1), "presence_penalty"),
        (Parameters(frequency_penalty=0.1), "frequency_penalty"),
        (Parameters(reasoning_effort="minimal"), "reasoning_effort"),
        (Parameters(reasoning_effort="9" * 5000), "reasoning_effort"),
        (Parameters(response_format=ResponseFormat(type="json_object")), "response_format"),
        (Parameters(parallel_tool_calls=False), "parallel_tool_calls"),
        (Parameters(temperature=1.5), "temperature"),
        (Parameters(stop=("a", "\n")), "stop"),
        (Parameters(reasoning_effort="2048", temperature=0.5), "temperature"),
        (Parameters(reasoning_effort="2048", top_k=5), "top_k"),
        (Parameters(reasoning_effort="2048", top_p=0.9), "top_p"),
        (Parameters(extra={"thinking": {"type": "adaptive"}}, temperature=0.5), "temperature"),
    ],
)
def test_parameter_that_the_provider_lacks(parameters: Parameters, name: str) -> None:
    """What must be sent is refused, and anything else is dropped and told."""
    body, dropped = build(parameters=parameters)
    error = refusal(parameters=parameters, insisted=frozenset({name}))

    assert name not in body
    assert "output_config" not in body
    assert dropped == (name,)
    assert error.violations[0].field == f"parameters.{name}"


def test_form_that_is_none() -> None:
    """Plain text is what an answer is anyway."""
    parameters = Parameters(response_format=ResponseFormat(type="text"))

    assert build(parameters=parameters) == build()


def test_texts_that_are_blank() -> None:
    """Texts of white space alone are left out, as the API refuses them, wherever they are."""
    blank = Text(" \n")

    body, dropped = build(
        say("system", blank),
        say("user", blank, Text(" a ")),
        say("assistant", blank),
        say("user", Text("b"), Refusal("\t")),
    )

    said = [{"role": "user", "content": [text(" a "), text("b")]}]
    assert (body["messages"], body.get("system"), dropped) == (said, None, ())


def test_answer_that_is_begun() -> None:
    """An answer that the model is to go on with ends in no white space, as the API demands."""
    begun = say("assistant", Text(" a\n"), Text(" b \n"))

    body, _ = build(HI, begun)
    ended, _ = build(HI, begun, HI)

    for told, last in ((body, " b"), (ended, " b \n")):
        messages = told["messages"]
        assert isinstance(messages, list)
        assert messages[1]["content"] == [text(" a\n"), text(last)]


def test_ids_of_another_provider() -> None:
    """A call and its result are sent with an id that the API takes, and still belong together."""
    call = ToolCall(id="functions.find:0", name="find", arguments_json="{}")

    body, _ = build(
        HI,
        say("assistant", tool_calls=(call,)),
        say("tool", Text("r"), tool_call_id="functions.find:0"),
    )

    messages = body["messages"]
    assert isinstance(messages, list)
    called, answered = (message["content"][0] for message in messages[1:])
    call_id = called["id"]
    assert re.fullmatch("functions_find_0_[0-9a-f]+", call_id)
    assert answered["tool_use_id"] == call_id


def test_schema_of_open_objects() -> None:
    """A schema that names an object's fields is sent as the API wants it: with no others."""
    schema = JsonSchema(name="n", schema={"type": "object", "properties": {"a": {}}})
    form = ResponseFormat(type="json_schema", json_schema=schema)

    body, _ = build(parameters=Parameters(response_format=form))

    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        }
    }


def test_top_p_that_changes_nothing() -> None:
    """A template's `top_p` of 1 does not stand beside a temperature, as newer models refuse it."""
    parameters = Parameters(temperature=0.3, top_p=1.0)

    body, dropped = build(parameters=parameters)
    alone, _ = build(parameters=Parameters(top_p=1.0))
    insisted, told = build(parameters=parameters, insisted=frozenset({"top_p"}))

    assert (body["temperature"], "top_p" in body, dropped) == (0.3, False, ("top_p",))
    assert alone["top_p"] == 1.0
    assert (insisted["temperature"], insisted["top_p"], told) == (0.3, 1.0, ())


def test_thinking() -> None:
    """A number as effort is a budget of thinking, beside which the answer has its own tokens."""
    budget = Parameters(reasoning_effort="2048", temperature=1.0, top_p=0.95)

    body, dropped = build(parameters=budget)
    limited, _ = build(parameters=Parameters(reasoning_effort="2048", max_tokens=2049))

    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (2048 + 4096, 1.0, 0.95)
    assert dropped == ()
    assert limited["max_tokens"] == 2049


def test_no_thinking() -> None:
    """Where no effort is wanted, the model is told not to think, and samples as it is told to."""
    body, dropped = build(parameters=Parameters(reasoning_effort="none", temperature=0.5))

    assert (body["thinking"], body["temperature"]) == ({"type": "disabled"}, 0.5)
    assert (body["max_tokens"], dropped) == (4096, ())


def test_thinking_of_extra_parameters() -> None:
    """What extra parameters say of the same field is kept beside what ours says of it."""
    shown: dict[str, Json] = {
        "thinking": {"display": "omitted"},
        "output_config": {"other": 1},
    }
    own: dict[str, Json] = {"thinking": {"type": "enabled", "budget_tokens": 5000}}

    both, _ = build(
        parameters=Parameters(reasoning_effort="1024", response_format=FORM, extra=shown)
    )
    alone, _ = build(parameters=Parameters(extra=own))

    assert both["thinking"] == {"display": "omitted", "type": "enabled", "budget_tokens": 1024}
    assert both["output_config"] == {
        "other": 1,
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    assert (alone["thinking"], alone["max_tokens"]) == (own["thinking"], 9096)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (Parameters(reasoning_effort="2048", max_tokens=2048), "max_tokens"),
        (Parameters(reasoning_effort="1023"), "reasoning_effort"),
        (Parameters(reasoning_effort="0"), "reasoning_effort"),
        (Parameters(reasoning_effort="-1"), "reasoning_effort"),
    ],
)
def test_tokens_that_contradict_each_other(parameters: Parameters, field: str) -> None:
    """No number of tokens is changed in silence: what the API would refuse is told."""
    assert refusal(parameters=parameters).violations[0].field == f"parameters.{field}"


def test_tools() -> None:
    """Tools are sent flat, and always with a schema of an object."""
    schema: dict[str, Json] = {"properties": {"a": {}}}
    tools = (Tool(name="f", description="d", parameters=schema, strict=True), Tool(name="g"))

    body, _ = build(tools=tools)

    assert body["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"a": {}}},
            "strict": True,
        },
        {"name": "g", "input_schema": {"type": "object"}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="none"), None, {"type": "none"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="required"), True, {"type": "any"}),
        (ToolChoice(tool_name="f"), None, {"type": "tool", "name": "f"}),
        (
            ToolChoice(tool_name="f"),
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, None),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, wire: Fields | None) -> None:
    """The choice among tools says, too, whether one may be called beside another."""
    parameters = Parameters(parallel_tool_calls=parallel)

    body, dropped = build(tools=(Tool(name="f"),), tool_choice=choice, parameters=parameters)
    without, _ = build(tool_choice=choice)

    assert body.get("tool_choice") == wire
    assert dropped == ()
    assert "tool_choice" not in without


def test_system() -> None:
    """The system and the developer speak before the conversation, in their order."""
    body, _ = build(
        say("system", Text("a"), Text("")),
        HI,
        say("developer", Text("b")),
        say("user", Text("there")),
        say("system", Text("c")),
    )

    assert body["system"] == [text("a"), text("b"), text("c")]
    assert body["messages"] == [{"role": "user", "content": [text("Hi"), text("there")]}]


def test_turns() -> None:
    """Messages of one side make one turn; the results of tools come first in theirs."""
    calls = (
        ToolCall(id="c1", name="f", arguments_json='{"a": 1}'),
        ToolCall(id="c2", name="g", arguments_json=""),
    )
    image = Media(kind="image", url="https://x.invalid/a.png")

    body, _ = build(
        say("user", Text("Hi"), name="Ada"),
        say("assistant", Text("Let me see."), tool_calls=calls),
        say("user", Text("Quick!")),
        say("tool", Text("1"), image, tool_call_id="c1"),
        say("tool", Text(""), tool_call_id="c2"),
        say("assistant", Refusal("I won't.")),
        say("assistant", Text("Or")),
    )

    assert body["messages"] == [
        {"role": "user", "content": [text("Hi")]},
        {
            "role": "assistant",
            "content": [
                text("Let me see."),
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [
                        text("1"),
                        {
                            "type": "image",
                            "source": {"type": "url", "url": "https://x.invalid/a.png"},
                        },
                    ],
                },
                {"type": "tool_result", "tool_use_id": "c2"},
                text("Quick!"),
            ],
        },
        {"role": "assistant", "content": [text("I won't."), text("Or")]},
    ]


def test_what_has_no_place() -> None:
    """Names, and how closely to look at an image, are left out, and that is told."""
    image = Media(kind="image", url="https://x.invalid/a.png", detail="low")
    seen_as_ever = Media(kind="image", url="https://x.invalid/a.png", detail="auto")

    _, named = build(say("user", Text("Hi"), name="Ada"))
    _, close = build(say("user", image))
    _, plain = build(say("user", seen_as_ever))

    assert (named, close, plain) == (("name",), ("detail",), ())


@pytest.mark.parametrize("choice", [ToolChoice(mode="required"), ToolChoice(tool_name="f")])
@pytest.mark.parametrize(
    "parameters",
    [Parameters(reasoning_effort="2048"), Parameters(extra={"thinking": {"type": "adaptive"}})],
)
def test_tool_that_must_be_called_by_who_thinks(choice: ToolChoice, parameters: Parameters) -> None:
    """A model that thinks chooses among its tools itself: anything else is refused, or told."""
    asked = {"tools": (Tool(name="f"),), "tool_choice": choice, "parameters": parameters}

    body, dropped = build(**asked)
    error = refusal(**asked, insisted=frozenset({"tool_choice"}))

    assert "tool_choice" not in body
    assert dropped == ("tool_choice",)
    assert error.violations[0].field == "tool_choice"


def test_reasoning() -> None:
    """Reasoning goes back in its place, as it was signed; what nobody signed is left out."""
    body, _ = build(
        HI,
        say("assistant", Reasoning(text="unsigned")),
        say("user", Text("there")),
        say(
            "assistant",
            Reasoning(text="t", signature=b"s"),
            Reasoning(redacted=b"r"),
            Text("a"),
            Reasoning(text="", signature=b"u"),
        ),
    )

    assert body["messages"] == [
        {"role": "user", "content": [text("Hi"), text("there")]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "redacted_thinking", "data": "r"},
                text("a"),
                {"type": "thinking", "thinking": "", "signature": "u"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (
            Media(kind="image", url="https://x.invalid/a.png", detail="low"),
            {"type": "image", "source": {"type": "url", "url": "https://x.invalid/a.png"}},
        ),
        (
            Media(kind="image", data=b"\x00\x01", media_type="image/png"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAE="},
            },
        ),
        (
            Media(kind="image", url="data:image/png;base64,AAE%3D"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAE="},
            },
        ),
        (
            Media(kind="image", url="DATA:,%00%01", media_type="image/gif"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/gif", "data": "AAE="},
            },
        ),
        (
            Media(kind="file", data=b"\x00", media_type="application/pdf", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "a.pdf",
            },
        ),
        (
            Media(kind="file", url="https://x.invalid/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.invalid/a.pdf"}},
        ),
        (
            Media(kind="file", data="Größe".encode(), media_type="text/markdown", filename="a.md"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Größe"},
                "title": "a.md",
            },
        ),
        (
            Media(kind="file", url="data:text/plain,a%20b"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a b"},
            },
        ),
    ],
)
def test_media(part: Part, wire: Fields) -> None:
    """Images and documents are sent by their URL, or as what is in them."""
    body, _ = build(say("user", Text("See:"), part))

    assert body["messages"] == [{"role": "user", "content": [text("See:"), wire]}]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (
            say("user", Media(kind="audio", data=b"x", media_type="audio/wav")),
            "messages[1].content[0]",
        ),
        (
            say("user", Text("a"), Media(kind="file", data=b"x", media_type="application/zip")),
            "messages[1].content[1]",
        ),
        (
            say("user", Media(kind="file", url="https://x.invalid/a", media_type="text/html")),
            "messages[1].content[0]",
        ),
        (
            say("user", Media(kind="file", url="data:application/zip,a")),
            "messages[1].content[0]",
        ),
        (
            say("user", Media(kind="file", data=b"\xff", media_type="text/plain")),
            "messages[1].content[0]",
        ),
        (
            say("user", Media(kind="image", data=b"x", media_type="image/svg+xml")),
            "messages[1].content[0]",
        ),
        (
            say("assistant", Media(kind="image", url="https://x.invalid/a.png")),
            "messages[1].content[0]",
        ),
        (say("user", Media(kind="image", url="data:image/png")), "messages[1].content[0]"),
        (say("user", Media(kind="image", url="data:;base64,AA==")), "messages[1].content[0]"),
        (
            say("system", Media(kind="image", url="https://x.invalid/a.png")),
            "messages[1].content[0]",
        ),
        (
            say("tool", Media(kind="audio", url="https://x.invalid/a.wav"), tool_call_id="c"),
            "messages[1].content[0]",
        ),
        (say("assistant", Reasoning(signature=b"\xff")), "messages[1].content[0].reasoning"),
        (say("assistant", Reasoning(redacted=b"\xff")), "messages[1].content[0].reasoning"),
    ],
)
def test_parts_that_the_dialect_lacks(message: Message, field: str) -> None:
    """Content that the dialect cannot carry is refused by its place, never left out."""
    assert refusal(HI, message).violations[0].field == field


@pytest.mark.parametrize(
    ("extra", "metadata", "left_out"),
    [
        ({"user": "u"}, {"user_id": "u"}, ()),
        ({"safety_identifier": "s"}, {"user_id": "s"}, ()),
        ({"user": "u", "safety_identifier": "u"}, {"user_id": "u"}, ()),
        ({"user": "u", "safety_identifier": "s"}, {"user_id": "s"}, ("user",)),
        ({"user": "u", "metadata": {"user_id": "m"}}, {"user_id": "m"}, ("user",)),
        ({"user": "u", "metadata": {"user_id": "u"}}, {"user_id": "u"}, ()),
        ({"user": "u", "metadata": {"a": 1}}, {"a": 1, "user_id": "u"}, ()),
        ({"user": "u", "metadata": "m"}, "m", ("user",)),
        ({"user": 7}, None, ("user",)),
    ],
)
def test_who_uses_the_application(
    extra: JsonObject, metadata: object, left_out: tuple[str, ...]
) -> None:
    """OpenAI's names of it are the metadata's, unless something else is known there already."""
    body, dropped = build(parameters=Parameters(extra=extra))

    assert body.get("metadata") == metadata
    assert not {"user", "safety_identifier"} & body.keys()
    assert dropped == left_out


@pytest.mark.parametrize(("tier", "is_sent"), [("standard_only", True), ("flex", False)])
def test_tiers(tier: str, *, is_sent: bool) -> None:
    """A tier of the API's own is sent, and one of OpenAI's is not."""
    body, dropped = build(parameters=Parameters(extra={"service_tier": tier}))

    assert ("service_tier" in body) == is_sent
    assert dropped == (() if is_sent else ("service_tier",))


RESULT = say("tool", Text("1"), tool_call_id="c")
FIND = ToolCall(id="c", name="find", arguments_json="{}")
THOUGHT = Reasoning(text="Hm.", signature=b"s")


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        pytest.param([HI, say("assistant", tool_calls=(FIND,)), RESULT], False, id="none"),
        pytest.param(
            [HI, say("assistant", Reasoning(text="Hm."), tool_calls=(FIND,)), RESULT],
            False,
            id="unsigned",
        ),
        pytest.param(
            [HI, say("assistant", Text("So."), THOUGHT, tool_calls=(FIND,)), RESULT],
            False,
            id="too late",
        ),
        pytest.param(
            [HI, say("assistant", THOUGHT, Text("So."), tool_calls=(FIND,)), RESULT],
            True,
            id="signed",
        ),
        pytest.param(
            [HI, say("assistant", Reasoning(redacted=b"x"), tool_calls=(FIND,)), RESULT],
            True,
            id="sealed",
        ),
        pytest.param(
            [HI, say("assistant", tool_calls=(FIND,)), RESULT, say("assistant", Text("So.")), HI],
            True,
            id="answered since",
        ),
        pytest.param([HI, say("assistant", Text("So.")), HI], True, id="no calls"),
        pytest.param(
            [
                *(HI, say("assistant", THOUGHT, tool_calls=(FIND,)), RESULT),
                *(say("assistant", Text("Well."), tool_calls=(FIND,)), RESULT),
                *(say("assistant", tool_calls=(FIND,)), RESULT),
            ],
            True,
            id="signed at the beginning of the turn",
        ),
        pytest.param(
            [
                *(HI, say("assistant", tool_calls=(FIND,)), RESULT),
                *(say("assistant", THOUGHT, tool_calls=(FIND,)), RESULT),
            ],
            False,
            id="signed later in the turn",
        ),
        pytest.param(
            [
                *(HI, say("assistant", THOUGHT, tool_calls=(FIND,)), RESULT),
                *(HI, say("assistant", tool_calls=(FIND,)), RESULT),
            ],
            False,
            id="signed in the turn before",
        ),
    ],
)
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("reasoning_effort", Parameters(reasoning_effort="2048", temperature=0.5)),
        (
            "thinking",
            Parameters(
                temperature=0.5, extra={"thinking": {"type": "enabled", "budget_tokens": 2048}}
            ),
        ),
    ],
)
def test_calls_without_a_thought(
    messages: list[Message], thinks: bool, name: str, parameters: Parameters
) -> None:
    """Who has not thought before the last calls goes on without: the API would refuse it."""
    body, dropped = build(*messages, parameters=parameters)

    assert ("thinking" in body) is thinks
    assert dropped == (("temperature",) if thinks else (name,))
    if not thinks:
        insisted = frozenset({name})
        error = refusal(*messages, parameters=parameters, insisted=insisted)
        assert [each.field for each in error.violations] == [f"parameters.{name}"]


def test_calls_without_a_thought_of_a_model_that_decides() -> None:
    """A model that decides itself how much to think may go on with calls of anybody's."""
    adaptive = Parameters(extra={"thinking": {"type": "adaptive"}})

    body, dropped = build(HI, say("assistant", tool_calls=(FIND,)), RESULT, parameters=adaptive)

    assert (body["thinking"], dropped) == ({"type": "adaptive"}, ())


def test_calls_of_one_id() -> None:
    """No two calls have one id, as the API refuses that, and each result goes to its own."""
    body, _ = build(
        *(HI, say("assistant", tool_calls=(FIND,)), RESULT),
        *(say("assistant", tool_calls=(FIND,)), RESULT),
    )

    turns = body["messages"]
    assert isinstance(turns, list)
    blocks = [block for turn in turns for block in turn["content"]]
    ids = [block.get("id") or block.get("tool_use_id") for block in blocks[1:]]
    assert ids == ["c", "c", "c_2", "c_2"]
