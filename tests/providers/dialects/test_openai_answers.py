"""OpenAI's dialect as servers differ in it: what they send as an answer, and what is made of it."""

import json

import pytest

from prompt_resolver_server.domain.answers import Answer, Delta, TextDelta
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.prompts import Reasoning, Text, ToolCall
from prompt_resolver_server.providers.dialect import (
    NO_QUIRKS,
    InBandError,
    ProtocolError,
    Quirks,
)
from prompt_resolver_server.providers.dialects.openai.dialect import OpenAIDialect
from tests.support.dialects.streams import Streams, answer_of
from tests.support.upstream import openai_answer

DIALECT = OpenAIDialect()
WITHOUT_DONE = Quirks(lacks=frozenset({"[DONE]"}))
DONE = b"data: [DONE]\n\n"
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def event(delta: object = None, finish: object = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": "i", "model": "m", "choices": [choice], **fields}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def read(*events: bytes, quirks: Quirks = NO_QUIRKS) -> tuple[Answer | None, list[Delta]]:
    """Return the answer of a stream, None if it is cut, and its deltas. Raises its failure."""
    deltas, finish = Streams(DIALECT, quirks, to_the_end=True).feed(*events)
    return (answer_of(deltas, finish) if finish else None), deltas


def streamed(*events: bytes) -> Answer:
    answer, _ = read(*events, DONE)
    assert answer is not None
    return answer


def whole(finish: object = "stop", **message: object) -> Answer:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return DIALECT.parse(openai_answer(id="i", model="m", choices=[choice], usage=None))


NO_REASONS = ["", " ", "null", None]


@pytest.mark.parametrize("nothing", NO_REASONS)
def test_reason_that_is_none(nothing: str | None) -> None:
    """What says nothing is no finish reason, and replaces none."""
    a, last = event({"content": "a"}, nothing), event({}, nothing)

    assert streamed(a, event({}, "length"), last).finish.raw_reason == "length"
    assert read(a, last, quirks=WITHOUT_DONE)[0] is None
    with pytest.raises(InBandError) as cut:
        read(a, last, DONE)
    assert cut.value.reason is Reason.UPSTREAM_TRUNCATED
    with pytest.raises(ProtocolError):
        whole(nothing, content="a")


def test_whole_answer_in_an_event() -> None:
    """An event that has a message in place of a delta is read like one."""
    message = {"role": "assistant", "content": "a", "tool_calls": [CALL]}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]

    answer = streamed(event(choices=choices))

    assert answer == whole("tool_calls", **message)
    assert answer.message.content == (Text("a"),)
    assert answer.message.tool_calls[0].name == "f"


def test_message_beside_deltas() -> None:
    """A message that repeats what the deltas have told is not read again."""
    message = {"role": "assistant", "content": "ab"}
    both = [{"index": 0, "delta": {"content": "b"}, "message": message}]
    summary = [{"index": 0, "message": message, "finish_reason": "stop"}]

    answer = streamed(event({"content": "a"}), event(choices=both), event(choices=summary))

    assert answer.message.content == (Text("ab"),)


def test_calls_of_functions() -> None:
    """A call in the form before there were tools is a call."""
    function = {"name": "f", "arguments": '{"a": 1}'}
    none = {"name": "", "arguments": ""}

    answers = [
        whole("function_call", content=None, function_call=function),
        streamed(
            event({"content": "", "function_call": {"name": "f", "arguments": ""}}),
            event({"function_call": {"arguments": '{"a":'}}),
            event({"function_call": {"arguments": " 1}"}}),
            event({}, "function_call"),
        ),
    ]

    for answer in answers:
        (call,) = answer.message.tool_calls
        assert (call.name, call.arguments_json) == ("f", '{"a": 1}')
        assert answer.finish.reason == "tool_calls"
    assert not streamed(event({"content": "a", "function_call": none}, "stop")).message.tool_calls
    both = whole("tool_calls", tool_calls=[CALL], function_call=CALL["function"])
    assert [call.id for call in both.message.tool_calls] == ["c"]


@pytest.mark.parametrize("reason", ["tool_calls", "function_call"])
def test_calls_that_are_not_there(reason: str) -> None:
    """An answer that is said to have ended in calls, and has nothing at all, is no answer."""
    with pytest.raises(ProtocolError, match="expected a tool call"):
        streamed(event({"content": ""}), event({}, reason))
    with pytest.raises(ProtocolError, match="expected a tool call"):
        whole(reason, content=None)
    for answer in (
        streamed(event({"content": "a"}), event({}, reason)),
        whole(reason, content="a"),
    ):
        assert (answer.message.text, answer.finish.reason) == ("a", "tool_calls")


@pytest.mark.parametrize(
    "message",
    [
        {"audio": {"id": "a", "data": "AAAA", "transcript": "Hi"}},
        {"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"reasoning_content": "t", "images": [{}]},
    ],
)
def test_answers_beyond_words(message: dict[str, object]) -> None:
    """An answer of sounds or images alone is no answer, and never an empty one."""
    with pytest.raises(ProtocolError, match="expected text or calls"):
        streamed(event(message), event({}, "stop"))
    with pytest.raises(ProtocolError, match="expected text or calls"):
        whole(**message)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a", "images": [{}]},
        {"content": [{"type": "text", "text": "a"}, {"type": "reference"}]},
        {"content": None, "refusal": "no", "audio": {"id": "a"}},
        {"content": "", "images": [], "audio": None},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]},
    ],
)
def test_answers_with_words(message: dict[str, object]) -> None:
    """What has words, or nothing at all, is an answer, and the same streamed as whole."""
    assert streamed(event(message), event({}, "stop")) == whole(**message)


def test_calls_without_ids() -> None:
    """Calls that have no ids are calls, streamed and whole."""
    nameless = [{"type": "function", "function": {"name": "f", "arguments": "{}"}, "id": ""}] * 2

    calls = [
        *whole("tool_calls", tool_calls=nameless).message.tool_calls,
        *streamed(event({"tool_calls": nameless}), event({}, "tool_calls")).message.tool_calls,
    ]

    assert calls == [ToolCall(id="", name="f", arguments_json="{}")] * 4


@pytest.mark.parametrize("ending", [b"data: [DONE] \n\n", b"data:  [DONE]\t\r\n\r\n"])
def test_blanks_around_the_end(ending: bytes) -> None:
    """White space around `[DONE]` changes nothing."""
    answer, _ = read(event({"content": "a"}), event({}, "stop"), ending)

    assert answer is not None


def raw(text: str, field: str = "content") -> bytes:
    """Return an event with a text as JSON writes it."""
    return b'data: {"choices": [{"delta": {"%s": "%s"}}]}\n\n' % (field.encode(), text.encode())


def test_halves_of_a_character() -> None:
    """A character that is cut in two is put together, and no half of it is told before."""
    answer, deltas = read(
        *(raw(r"a\\\ud83d"), raw(""), raw(r"\ude00b\uD83D"), raw(r"\uDE01"), raw("c")),
        *(raw(r"t\ud83d", "reasoning_content"), raw(r"\ude02", "reasoning_content")),
        event({}, "stop"),
        DONE,
    )

    assert answer is not None
    assert answer.message.content == (Text("a\\😀b😁c"), Reasoning(text="t😂"))
    assert deltas[1] == TextDelta("a\\")


@pytest.mark.parametrize(
    "texts",
    [[r"a\ud83d"], [r"a\ud83d", "b"], [r"\ude00"], [r"a\ud83d", r"\ud83d"], [r"\ud83d\\ude00"]],
)
def test_half_of_a_character(texts: list[str]) -> None:
    """Half of a character without the other one is not of the protocol."""
    with pytest.raises(ProtocolError):
        read(*map(raw, texts), event({}, "stop"), DONE)


def test_numbers_as_ids() -> None:
    """An answer's id may be a number."""
    answer, _ = read(event({"content": "a"}, id=12), event({}, "stop", id=12), DONE)

    assert answer is not None
    assert (answer.id, DIALECT.parse(openai_answer(id=12)).id) == ("12", "12")
