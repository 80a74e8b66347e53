"""Ollama's dialect: what is sent, and what is made of what comes back."""

import pytest

from prompt_resolver_server.domain.answers import Delta, ToolCallDelta, Usage
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.parameters import Json, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, ProtocolError
from prompt_resolver_server.providers.dialects.ollama import OllamaDialect
from tests.support.dialects.requests import HI, Requests, say
from tests.support.ollama import (
    BARE_CALL,
    CALL,
    Fields,
    ollama_answer,
    ollama_error,
    ollama_stream,
)

DIALECT = OllamaDialect()
REQUESTS = Requests(DIALECT)
build, refused, written = REQUESTS.build, REQUESTS.refused, REQUESTS.written
FIND = Tool(name="find")


def call(call_id: str, name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments_json=arguments)


def test_smallest_request() -> None:
    """What is not set is not sent, but for how to answer: left unsaid, it would be a stream."""
    assert build() == (
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": False},
        (),
    )


def test_headers() -> None:
    """A key goes with every request, where there is one."""
    assert DIALECT.headers(None) == {}
    assert DIALECT.headers("k") == {"Authorization": "Bearer k"}


def test_extra_parameters() -> None:
    """Extra parameters are the model's options, but for those that are fields of the body."""
    extra: dict[str, Json] = {
        "options": {"num_ctx": 1, "min_p": 0.1, "num_predict": 9},
        "num_ctx": 2,
        "keep_alive": 0,
        "think": True,
        "shift": False,
        "truncate": False,
    }

    body, dropped = build(parameters=Parameters(max_tokens=3, extra=extra))

    assert dropped == ()
    assert body["options"] == {"num_ctx": 2, "min_p": 0.1, "num_predict": 3}
    assert {name: body[name] for name in ("keep_alive", "think", "shift", "truncate")} == {
        "keep_alive": 0,
        "think": True,
        "shift": False,
        "truncate": False,
    }


@pytest.mark.parametrize("options", [None, 3, "text", []])
def test_options_that_are_none(options: Json) -> None:
    """Options that are no mapping are refused, as nothing could be made of them."""
    fields = refused(HI, parameters=Parameters(seed=1, extra={"options": options}))

    assert fields == ["parameters.extra.options"]


@pytest.mark.parametrize(
    ("effort", "think"),
    [
        ("none", False),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "max"),
        ("max", "max"),
    ],
)
def test_efforts(effort: str, think: object) -> None:
    """An effort is what the server takes it for at its own door for OpenAI's dialect."""
    body, dropped = build(parameters=Parameters(reasoning_effort=effort))

    assert (body["think"], dropped) == (think, ())


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"parameters": Parameters(reasoning_effort="2048")}, "reasoning_effort"),
        ({"parameters": Parameters(parallel_tool_calls=False)}, "parallel_tool_calls"),
        ({"tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"tool_choice": ToolChoice(tool_name="find")}, "tool_choice"),
        ({"tools": (Tool(name="find", strict=True),)}, "strict"),
    ],
)
def test_what_it_lacks(changes: dict[str, object], lacking: str) -> None:
    """What the API cannot express is dropped and told, or refused if the caller insists."""
    body, dropped = build(**{"tools": (FIND,), **changes})

    assert dropped == (lacking,)
    assert set(body) == {"model", "messages", "stream", "tools"}
    fields = refused(**{"tools": (FIND,), **changes, "insisted": frozenset({lacking})})
    assert fields == ["tool_choice" if lacking == "tool_choice" else f"parameters.{lacking}"]


def test_what_changes_nothing() -> None:
    """What asks for what happens anyway is neither sent nor dropped."""
    parameters = Parameters(response_format=ResponseFormat(type="text"), parallel_tool_calls=True)

    body, dropped = build(parameters=parameters, tools=(FIND,), tool_choice=ToolChoice(mode="auto"))

    assert dropped == ()
    assert set(body) == {"model", "messages", "stream", "tools"}


def test_tools_that_must_not_be_called() -> None:
    """A model that must not call tools is not told of any."""
    body, dropped = build(tools=(FIND,), tool_choice=ToolChoice(mode="none"))

    assert "tools" not in body
    assert dropped == ()


def test_roles() -> None:
    """The developer speaks as the system does; a refusal is what the assistant said."""
    assert written(say("developer", Text("a")), say("assistant", Refusal("No."))) == [
        {"role": "system", "content": "a"},
        {"role": "assistant", "content": "No."},
    ]


def test_results_of_tools() -> None:
    """A result goes back by its call and by its tool, which the last call of that id names."""
    first = say("assistant", tool_calls=(call("call_0", "find"), call("call_1", "now")))
    second = say("assistant", tool_calls=(call("call_0", "stop"),))

    wire = written(
        first,
        say("tool", Text("1"), tool_call_id="call_1"),
        say("tool", Text("2"), tool_call_id="call_0"),
        second,
        say("tool", Text("3"), tool_call_id="call_0"),
        say("tool", Text("4"), tool_call_id="unknown", name="other"),
        say("tool", Text("5"), tool_call_id="unknown"),
    )

    assert [
        (each.get("tool_name"), each["tool_call_id"]) for each in wire if "tool_call_id" in each
    ] == [
        ("now", "call_1"),
        ("find", "call_0"),
        ("stop", "call_0"),
        ("other", "unknown"),
        (None, "unknown"),
    ]


def test_arguments_that_are_empty() -> None:
    """A call without arguments has an empty object of them."""
    (wire,) = written(say("assistant", tool_calls=(call("a", "f", ""),)))

    assert wire["tool_calls"] == [{"id": "a", "function": {"name": "f", "arguments": {}}}]


@pytest.mark.parametrize(
    ("media", "data"),
    [
        (Media(kind="image", data=b"\x00\x01", media_type="image/png"), "AAE="),
        (Media(kind="audio", data=b"\x00\x01", media_type="audio/wav"), "AAE="),
        (Media(kind="image", url="DATA:image/png;base64,AAE%3D"), "AAE="),
    ],
)
def test_media(media: Media, data: str) -> None:
    """Images and sounds go as bytes, beside the text."""
    assert written(say("user", Text("a"), media, Text("b"))) == [
        {"role": "user", "content": "ab", "images": [data]}
    ]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="image", url="https://x.invalid/a.png"),
        Media(kind="image", url="data:image/png;base64"),
        Media(kind="file", data=b"a", media_type="application/pdf"),
    ],
)
def test_media_that_it_lacks(media: Media) -> None:
    """What the server cannot fetch or read is refused by its place."""
    assert refused(HI, say("user", Text("a"), media)) == ["messages[1].content[1]"]


def test_reasoning_goes_back() -> None:
    """What a model thought goes back as its text; what only another can read does not."""
    message = say(
        "assistant",
        Reasoning(text="a", signature=b"s"),
        Reasoning(redacted=b"r"),
        Text("t"),
        Reasoning(text="b"),
    )

    assert written(message) == [{"role": "assistant", "content": "t", "thinking": "ab"}]


def test_what_an_answer_can_do_without() -> None:
    """Names, and how closely to look, have no place, and that is told."""
    image = Media(kind="image", data=b"a", media_type="image/png", detail="low")

    body, dropped = build(say("user", Text("a"), image, name="Ada"))

    assert dropped == ("name", "detail")
    assert body["messages"] == [{"role": "user", "content": "a", "images": ["YQ=="]}]


def test_calls_without_ids() -> None:
    """Tool calls that have no id are left without, for whoever calls to name."""
    reader = DIALECT.read_stream(NO_QUIRKS)
    deltas: list[Delta] = []
    for line in ollama_stream({"tool_calls": [BARE_CALL, CALL]}, {"tool_calls": [BARE_CALL]}):
        deltas += reader.feed(line)

    assert deltas[1:] == [
        ToolCallDelta(index=0, id="", name="now", arguments_json="{}"),
        ToolCallDelta(index=1, id="call_a1b2", name="find", arguments_json='{"a":[1,2]}'),
        ToolCallDelta(index=2, id="", name="now", arguments_json="{}"),
    ]


@pytest.mark.parametrize(
    ("raw", "calls", "reason"),
    [
        ("stop", [], "stop"),
        ("stop", [CALL], "tool_calls"),
        ("length", [], "length"),
        ("length", [CALL], "length"),
        ("unload", [], "other"),
    ],
)
def test_ends(raw: str, calls: list[Fields], reason: str) -> None:
    """The end of an answer is told in our words and in the server's."""
    finish = DIALECT.parse(ollama_answer(stop=raw, tool_calls=calls)).finish

    assert (finish.reason, finish.raw_reason) == (reason, raw)


def test_usage_that_is_not_told() -> None:
    """Counts that the server leaves out are unknown."""
    finish = DIALECT.parse(ollama_answer(usage={"eval_count": 2})).finish

    assert finish.usage == Usage(output_tokens=2)


@pytest.mark.parametrize(
    "body",
    [
        ollama_answer(stop=None),
        ollama_answer(stop=""),
        ollama_stream({"content": "a"})[0],
        b'{"done":true,"done_reason":"stop"}',
        ollama_answer(tool_calls=[{"function": {"name": ""}}]),
        ollama_answer(tool_calls=[{"function": {"arguments": {}}}]),
        ollama_answer(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}]),
        ollama_answer(content=[{"type": "text", "text": "a"}]),
    ],
)
def test_no_answer(body: bytes) -> None:
    """An answer that is not done, or says what the dialect does not, is none, in either form."""
    reader = DIALECT.read_stream(NO_QUIRKS)
    reader.feed(body)
    reader.feed(b"")

    with pytest.raises(ProtocolError):
        DIALECT.parse(body)
    assert reader.finish is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model 'm' not found", Reason.MODEL_NOT_FOUND),
        ('model "m" not found, try pulling it first', Reason.MODEL_NOT_FOUND),
        (
            "server busy, please try again.  maximum pending requests exceeded",
            Reason.UPSTREAM_OVERLOADED,
        ),
        ("input exceeds maximum context length and cannot be truncated", Reason.CONTEXT_LENGTH),
        ("request (9 tokens) exceeds the available context size (8)", Reason.CONTEXT_LENGTH),
        ("model runner has unexpectedly stopped", None),
        ('"m" does not support tools', None),
        ("unauthorized", None),
    ],
)
def test_failures(text: str, reason: Reason | None) -> None:
    """A failure is known by its words, and the status tells the rest where there is one."""
    reader = DIALECT.read_stream(NO_QUIRKS)
    reader.feed(ollama_error(text))

    assert DIALECT.classify(500, ollama_error(text)) is reason
    assert isinstance(reader.failure, InBandError)
    assert reader.failure.reason is (reason or Reason.UPSTREAM_UNAVAILABLE)
    with pytest.raises(InBandError) as caught:
        DIALECT.parse(ollama_error(text))
    assert text not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":{}}', b'{"error":null}'])
def test_failures_without_words(body: bytes) -> None:
    """A body that tells nothing leaves it to the status."""
    assert DIALECT.classify(502, body) is None
