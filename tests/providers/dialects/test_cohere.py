"""Cohere's dialect: what is sent, and what is made of what comes back."""

import json

import pytest

from prompt_resolver_server.domain.answers import Usage
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.parameters import Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, ProtocolError
from prompt_resolver_server.providers.dialects.cohere import CohereDialect
from tests.support.cohere import (
    CALL,
    THINKING,
    Fields,
    cohere_answer,
    cohere_error,
    cohere_stream,
    frame,
    frame_delta,
    frame_end,
)
from tests.support.dialects.requests import HI, Requests, say

DIALECT = CohereDialect()
REQUESTS = Requests(DIALECT)
build, refused, written = REQUESTS.build, REQUESTS.refused, REQUESTS.written
FIND = Tool(name="find")
FOUND = ToolCall(id="c", name="find", arguments_json="{}")
IMAGE = Media(kind="image", url="https://x.invalid/a.png")
START = frame("message-start", id="answer-1", delta={"message": {"role": "assistant"}})


def test_smallest_request() -> None:
    """What is not set is not sent."""
    assert build() == (
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": False},
        (),
    )


def test_headers() -> None:
    """A key goes with every request, where there is one."""
    assert DIALECT.headers(None) == {}
    assert DIALECT.headers("k") == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [
        ("none", {"type": "disabled"}),
        ("high", {"type": "enabled"}),
        ("1", {"type": "enabled", "token_budget": 1}),
        ("31000", {"type": "enabled", "token_budget": 31000}),
    ],
)
def test_efforts(effort: str, thinking: object) -> None:
    """An effort turns thinking on or off, a number limits it, and it wins over extra parameters."""
    parameters = Parameters(reasoning_effort=effort, extra={"thinking": {"type": "enabled"}})

    body, dropped = build(parameters=parameters)

    assert (body["thinking"], dropped) == (thinking, ())


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"parameters": Parameters(reasoning_effort="low")}, "reasoning_effort"),
        ({"parameters": Parameters(reasoning_effort="0")}, "reasoning_effort"),
        ({"parameters": Parameters(reasoning_effort="-1")}, "reasoning_effort"),
        ({"parameters": Parameters(reasoning_effort="9" * 99)}, "reasoning_effort"),
        ({"parameters": Parameters(top_p=1.0)}, "top_p"),
        ({"parameters": Parameters(top_p=0.0)}, "top_p"),
        ({"parameters": Parameters(top_k=501)}, "top_k"),
        ({"parameters": Parameters(seed=-1)}, "seed"),
        ({"parameters": Parameters(presence_penalty=-0.5)}, "presence_penalty"),
        ({"parameters": Parameters(frequency_penalty=1.5)}, "frequency_penalty"),
        ({"parameters": Parameters(stop=("a",) * 6)}, "stop"),
        ({"parameters": Parameters(parallel_tool_calls=False)}, "parallel_tool_calls"),
        ({"tool_choice": ToolChoice(tool_name="find")}, "tool_choice"),
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


def test_zero_is_a_value() -> None:
    """A temperature of zero, and a seed, are sent."""
    body, _ = build(parameters=Parameters(temperature=0.0, seed=0))

    assert (body["temperature"], body["seed"]) == (0.0, 0)


def test_roles() -> None:
    """The developer speaks as the system does; a refusal is what the assistant said."""
    assert written(say("developer", Text("a")), say("assistant", Refusal("No."))) == [
        {"role": "system", "content": "a"},
        {"role": "assistant", "content": "No."},
    ]


def test_empty_messages() -> None:
    """A message without content has an empty one, unless it calls tools."""
    assert written(say("user"), say("assistant", tool_calls=(FOUND,)))[0] == {
        "role": "user",
        "content": "",
    }
    assert "content" not in written(say("assistant", tool_calls=(FOUND,)))[0]


def test_what_an_answer_can_do_without() -> None:
    """Names have no place, and that is told."""
    body, dropped = build(say("user", Text("a"), name="Ada"))

    assert dropped == ("name",)
    assert body["messages"] == [{"role": "user", "content": "a"}]


def test_reasoning_goes_back() -> None:
    """What a model thought is content, or its plan where it calls tools."""
    thoughts = (Reasoning(text="a", signature=b"s"), Reasoning(redacted=b"r"), Text("t"))

    plain, calling = written(
        say("assistant", *thoughts), say("assistant", *thoughts, tool_calls=(FOUND,))
    )

    assert plain["content"] == [
        {"type": "thinking", "thinking": "a"},
        {"type": "text", "text": "t"},
    ]
    assert (calling["tool_plan"], calling["content"]) == ("a", "t")


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("system", IMAGE),
        ("assistant", IMAGE),
        ("tool", IMAGE),
        ("user", Reasoning(text="a")),
        ("user", Media(kind="audio", data=b"a", media_type="audio/wav")),
        ("user", Media(kind="file", data=b"a", media_type="application/pdf")),
    ],
)
def test_content_that_it_lacks(role: str, part: Part) -> None:
    """What the API does not take there is refused by its place."""
    assert refused(HI, say(role, Text("a"), part)) == ["messages[1].content[1]"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_TOXIC", "content_filter"),
        ("NOVEL", "other"),
    ],
)
def test_ends(raw: str, reason: str) -> None:
    """The end of an answer is told in our words and in the provider's."""
    finish = DIALECT.parse(cohere_answer(stop=raw)).finish

    assert (finish.reason, finish.raw_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (
            {"tokens": {"input_tokens": 1, "output_tokens": 2}},
            Usage(input_tokens=1, output_tokens=2),
        ),
        ({"billed_units": {"input_tokens": 1.0}}, Usage(input_tokens=1)),
        ({"tokens": {"input_tokens": 0.5, "output_tokens": -1}}, Usage()),
        ({}, None),
    ],
)
def test_usage(usage: Fields, read: Usage | None) -> None:
    """Counts are those of tokens, or of what is billed where there are no others."""
    assert DIALECT.parse(cohere_answer(usage=usage)).finish.usage == read


@pytest.mark.parametrize(
    ("stop", "error"),
    [("ERROR", ProtocolError), ("ERROR_LIMIT", ProtocolError), ("TIMEOUT", InBandError)],
)
def test_ends_that_are_failures(stop: str, error: type[Exception]) -> None:
    """An answer that did not come to its end is none, whole or streamed."""
    reader = DIALECT.read_stream(NO_QUIRKS)
    for event in cohere_stream(stop=stop):
        reader.feed(event)

    assert isinstance(reader.failure, error)
    assert reader.finish is None
    with pytest.raises(error):
        DIALECT.parse(cohere_answer(stop=stop))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("too many tokens: size limit exceeded by 9 tokens.", Reason.CONTEXT_LENGTH),
        ("it broke", Reason.UPSTREAM_UNAVAILABLE),
        ({"of": "another form"}, Reason.UPSTREAM_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("begun", [b"", START], ids=["first", "later"])
def test_failures_in_a_stream(begun: bytes, text: object, reason: Reason) -> None:
    """A failure is reported by the end's error, or by an event that is named one."""
    named = frame_end("ERROR", error=text)
    event = b"event: error\ndata: " + json.dumps({"message": text}).encode() + b"\n\n"

    for failure in (named, event):
        reader = DIALECT.read_stream(NO_QUIRKS)
        reader.feed(begun + failure)
        assert isinstance(reader.failure, InBandError)
        assert reader.failure.reason is reason


@pytest.mark.parametrize(
    "events",
    [
        [frame_delta("content-delta", 0, content={"text": "a"}), START, frame_end("COMPLETE")],
        [START, START, frame_end("COMPLETE")],
        [START, frame("message-end", delta={}), frame_end("COMPLETE")],
        [START, frame("message-end"), frame_end("COMPLETE")],
        [START, frame_delta("tool-call-delta", 0, tool_calls={}), frame_end("COMPLETE")],
        [START, *2 * [frame_delta("tool-call-start", 0, tool_calls=CALL)], frame_end("COMPLETE")],
        [START, frame_delta("tool-call-start", 0, tool_calls={"id": "c"}), frame_end("COMPLETE")],
        [START, frame_delta("content-delta", 0, content="a"), frame_end("COMPLETE")],
        [START, b"data: [DONE]\n\n", frame_end("COMPLETE")],
    ],
)
def test_no_stream(events: list[bytes]) -> None:
    """Events that do not follow from each other, or of another form, are no answer."""
    reader = DIALECT.read_stream(NO_QUIRKS)
    for event in events:
        reader.feed(event)

    assert isinstance(reader.failure, ProtocolError)
    assert reader.finish is None


def test_events_that_tell_nothing() -> None:
    """Events of other kinds, whatever their form, are skipped."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    reader.feed(frame("debug", prompt="p", delta="of another form"))
    reader.feed(START + frame("novel", delta=[1], index="a"))
    reader.feed(frame_delta("citation-start", 0, citations={"start": 0}) + frame_end("COMPLETE"))

    assert reader.failure is None
    assert reader.finish is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","finish_reason":"COMPLETE"}',
        b'{"message":{"content":[]}}',
        b'{"message":{"content":[]},"finish_reason":null}',
        b'{"message":{"content":"a"},"finish_reason":"COMPLETE"}',
        cohere_answer(calls=[{"id": "c", "type": "function"}]),
        cohere_answer(calls=[{"type": "function", "function": {"name": "f"}}]),
        cohere_error("a failure under the status of success"),
    ],
)
def test_no_answer(body: bytes) -> None:
    """A whole answer that says what the dialect does not is none."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(body)


def test_thoughts_alone() -> None:
    """An answer may end before the model has said anything."""
    answer = DIALECT.parse(cohere_answer(THINKING, stop="MAX_TOKENS"))

    assert answer.message.content == (Reasoning(text="Hm, well."),)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, cohere_error("too many tokens: total number of tokens"), Reason.CONTEXT_LENGTH),
        (400, cohere_error("too many tokens: max tokens must be less"), Reason.UPSTREAM_REJECTED),
        (400, cohere_error("invalid request: message must not be empty"), None),
        (404, cohere_error("model 'x' not found"), None),
        (429, cohere_error("Please wait and try again later"), None),
        (498, cohere_error("m"), Reason.CONTENT_BLOCKED),
        (499, b"", Reason.UPSTREAM_UNAVAILABLE),
        (500, b"<html>", None),
        (500, b"[]", None),
        (500, b'{"message":3}', None),
    ],
)
def test_failures(status: int, body: bytes, reason: Reason | None) -> None:
    """A response's failure is known by its status, and some by their words."""
    assert DIALECT.classify(status, body) is reason
