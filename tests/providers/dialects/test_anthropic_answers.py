"""Anthropic's dialect: what is made of what comes back."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.answers import (
    Finish,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.prompts import (
    Message,
    Reasoning,
    Text,
    ToolCall,
)
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, ProtocolError
from prompt_resolver_server.providers.dialects.anthropic.dialect import AnthropicDialect
from tests.support.anthropic import (
    BARE_CALL,
    CALL,
    REDACTED,
    SIGNATURE,
    TEXT,
    THINKING,
    Fields,
    anthropic_answer,
    anthropic_error,
    anthropic_stream,
    anthropic_texts,
    frame,
    frame_begin,
    frame_delta,
    frame_end,
    frame_error,
)
from tests.support.dialects.requests import Requests, say
from tests.support.dialects.streams import Streams

DIALECT = AnthropicDialect()
feed, assemble = Streams(DIALECT).feed, Streams(DIALECT).assemble


def send_back(message: Message) -> object:
    (turn,) = Requests(DIALECT).written(message)
    return turn["content"]


def test_whole_answer() -> None:
    """A whole answer has its text, its end and its usage, the cache's share included."""
    answer = DIALECT.parse(anthropic_answer())

    assert (answer.id, answer.message) == ("msg_1", say("assistant", Text("Hello")))
    assert answer.finish == Finish(
        reason="stop",
        raw_reason="end_turn",
        model="served-model",
        usage=Usage(input_tokens=10, output_tokens=7, cache_read_tokens=3, cache_write_tokens=2),
    )


def test_counts() -> None:
    """A count that is missing, or none, is unknown; thinking has one of its own."""
    thought = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}

    some = DIALECT.parse(anthropic_answer(usage=thought))
    bad = DIALECT.parse(anthropic_answer(usage={"input_tokens": -1, "output_tokens": True}))
    none = DIALECT.parse(anthropic_answer(usage=None))

    assert some.finish.usage == Usage(output_tokens=9, reasoning_tokens=4)
    assert bad.finish.usage == Usage()
    assert none.finish.usage is None


EVERYTHING = (THINKING, TEXT, REDACTED, {**THINKING, "thinking": ""}, TEXT, TEXT, CALL, BARE_CALL)
MESSAGE = Message(
    role="assistant",
    content=(
        Reasoning(text="Hm, well.", signature=SIGNATURE.encode()),
        Text("Hello"),
        Reasoning(redacted=b"c2VhbGVk=="),
        Reasoning(signature=SIGNATURE.encode()),
        Text("HelloHello"),
    ),
    tool_calls=(
        ToolCall(id="toolu_1", name="find", arguments_json='{"a":[1,2]}'),
        ToolCall(id="toolu_2", name="now", arguments_json="{}"),
    ),
)


def test_answer_with_everything() -> None:
    """An answer keeps the order of its parts, whole or streamed, and can be sent back as it is."""
    whole = DIALECT.parse(anthropic_answer(*EVERYTHING, stop="tool_use"))
    streamed = assemble(*anthropic_stream(*EVERYTHING, stop="tool_use"))

    assert whole.message == MESSAGE
    assert whole.finish.reason == "tool_calls"
    assert streamed == whole
    assert send_back(whole.message) == [
        *EVERYTHING[:4],
        {"type": "text", "text": "HelloHello"},
        CALL,
        BARE_CALL,
    ]


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
INPUTS = st.dictionaries(
    TEXTS, st.recursive(st.none() | NUMBERS | TEXTS, st.lists, max_leaves=4), max_size=3
)
SEALED = st.one_of(
    st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, st.text(), TEXTS),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS),
)
CALLS = st.builds(
    lambda i, name, said: {"type": "tool_use", "id": i, "name": name, "input": said},
    st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
    TEXTS,
    INPUTS,
)


@given(
    thoughts=st.lists(SEALED, max_size=3),
    text=TEXTS.filter(str.strip),
    calls=st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda call: call["id"]),
)
def test_sent_back(thoughts: list[Fields], text: str, calls: list[Fields]) -> None:
    """What a model said goes back to the letter, however odd it is, whole or streamed."""
    blocks: list[Fields] = [*thoughts, {"type": "text", "text": text}, *calls]

    whole = DIALECT.parse(anthropic_answer(*blocks, stop="tool_use"))
    streamed = assemble(*anthropic_stream(*blocks, stop="tool_use"))

    assert send_back(whole.message) == blocks
    assert send_back(streamed.message) == blocks


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        anthropic_answer(stop=None),
        anthropic_answer(content=None),
        anthropic_answer(content=[1]),
        anthropic_answer({"type": "text", "text": 1}),
        anthropic_answer({"type": "tool_use", "name": "f", "input": {}}),
        anthropic_answer({"type": "tool_use", "id": "c", "input": {}}),
        anthropic_answer({**CALL, "input": "{}"}),
        anthropic_answer(usage=[]),
        b'{"type": "error"}',
        b'{"type": "error", "error": {"type": "unknown"}}',
        b'{"type": "error", "error": "text"}',
        b"[" * 100_000,
        b'{"a": "\xff"}',
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    """What is not an answer of the dialect is never taken for one."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(body)


def test_deep_input() -> None:
    """However deep the input of a call is, it is an answer or it is none."""
    for depth in range(700, 1100):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        with suppress(ProtocolError):
            DIALECT.parse(anthropic_answer({**CALL, "input": {}}).replace(b"{}", deep))


def test_blocks_of_other_kinds() -> None:
    """What the API may add one day does no harm to what is known of it."""
    other: Fields = {"type": "web_search_tool_result", "content": []}
    events = anthropic_stream(other, TEXT)
    odd = [
        frame("compaction", index="x", delta=[]),
        frame_delta(1, type="citations_delta", citation={"a": 1}),
    ]
    end = events.index(frame_end(1))

    whole = DIALECT.parse(anthropic_answer(other, TEXT))
    streamed = assemble(*events[:end], *odd, *events[end:])

    assert whole.message == say("assistant", Text("Hello"))
    assert streamed == whole


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        ("invalid_request_error", "messages: odd", Reason.UPSTREAM_REJECTED),
        ("invalid_request_error", "prompt is too long: 2 > 1", Reason.CONTEXT_LENGTH),
        (
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1",
            Reason.CONTEXT_LENGTH,
        ),
        ("exceed_context_size_error", "m", Reason.CONTEXT_LENGTH),
        (
            "invalid_request_error",
            "Your credit balance is too low to go on",
            Reason.UPSTREAM_QUOTA,
        ),
        ("billing_error", "m", Reason.UPSTREAM_QUOTA),
        ("authentication_error", "m", Reason.UPSTREAM_AUTH),
        ("permission_error", "m", Reason.UPSTREAM_AUTH),
        ("not_found_error", "m", Reason.MODEL_NOT_FOUND),
        ("request_too_large", "m", Reason.REQUEST_TOO_LARGE),
        ("rate_limit_error", "m", Reason.UPSTREAM_RATE_LIMITED),
        ("api_error", "m", Reason.UPSTREAM_UNAVAILABLE),
        ("timeout_error", "m", Reason.UPSTREAM_TIMEOUT),
        ("overloaded_error", "prompt is too long", Reason.UPSTREAM_OVERLOADED),
    ],
)
def test_errors(kind: str, message: str, reason: Reason) -> None:
    """An error is told by its type, whole or streamed, and where it must by how it begins."""
    body = anthropic_error(kind, message)

    with pytest.raises(InBandError) as in_answer:
        DIALECT.parse(body)
    with pytest.raises(InBandError) as in_stream:
        feed(frame_error(kind, message))

    assert DIALECT.classify(400, body) == reason
    assert (in_answer.value.reason, in_stream.value.reason) == (reason, reason)


def test_errors_with_a_code() -> None:
    """Spending that has reached its limit is no limit of rate; what is not known tells nothing."""
    spent = anthropic_error(
        "rate_limit_error", details={"error_code": "contract_spend_limit_reached"}
    )
    other = anthropic_error("rate_limit_error", details={"error_code": "new"})

    assert DIALECT.classify(429, spent) == Reason.UPSTREAM_QUOTA
    assert DIALECT.classify(429, other) == Reason.UPSTREAM_RATE_LIMITED
    assert DIALECT.classify(400, anthropic_error("new")) is None
    assert DIALECT.classify(400, b"<html>") is None
    assert DIALECT.classify(400, b'{"error": "text"}') is None


def test_stream() -> None:
    """A stream opens with the answer's id and model, and ends as a whole answer does."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    deltas = reader.feed(b"".join(anthropic_texts("Hel", "lo")))

    assert deltas[0] == Opened(id="msg_1", model="served-model")
    assert reader.finish == DIALECT.parse(anthropic_answer()).finish


def test_streamed_reasoning() -> None:
    """A signature comes after the reasoning that it is for, and before what follows."""
    deltas, _ = feed(b"".join(anthropic_stream({**THINKING, "thinking": "Hm."}, REDACTED, TEXT)))

    assert deltas[1:] == [
        ReasoningDelta(Reasoning(text="Hm.")),
        ReasoningDelta(Reasoning(signature=SIGNATURE.encode())),
        ReasoningDelta(Reasoning(redacted=b"c2VhbGVk==")),
        TextDelta("Hello"),
    ]


def test_streamed_tool_calls() -> None:
    """Calls are counted among themselves; each has its id and name once, and arguments."""
    whole = {**CALL, "id": "toolu_3"}
    events = anthropic_stream(TEXT, {**CALL, "input": {"a": 1}}, BARE_CALL, stop="tool_use")
    at_once = [frame_begin(3, whole), frame_end(3)]

    deltas, _ = feed(*events[:-2], *at_once, *events[-2:])

    assert [delta for delta in deltas if isinstance(delta, ToolCallDelta)] == [
        ToolCallDelta(index=0, id="toolu_1", name="find"),
        ToolCallDelta(index=0, arguments_json='{"a'),
        ToolCallDelta(index=0, arguments_json='":1'),
        ToolCallDelta(index=0, arguments_json="}"),
        ToolCallDelta(index=1, id="toolu_2", name="now"),
        ToolCallDelta(index=1, arguments_json="{}"),
        ToolCallDelta(index=2, id="toolu_3", name="find"),
        ToolCallDelta(index=2, arguments_json='{"a":[1,2]}'),
    ]


BEGUN = b"".join(anthropic_texts("ab")[:4])
"""A stream up to the middle of its text."""

END = frame("message_delta", delta={"stop_reason": "end_turn"}) + frame("message_stop")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (frame_error("overloaded_error"), InBandError),
        (frame_error("new"), ProtocolError),
        (b'event: error\ndata: {"message": "x"}\n\n', ProtocolError),
        (b"event: error\ndata: x\n\n", ProtocolError),
        (b'data: {"type": "error", "error": {"type": "api_error"}}\n\n', InBandError),
        (b'data: {"type": "error", "index": "x", "error": {"type": "api_error"}}\n\n', InBandError),
        (b'data: {"type": "error"}\n\n', ProtocolError),
        (b"data: nonsense\n\n", ProtocolError),
        (b"data: [1]\n\n", ProtocolError),
        (b'data: {"type": {}}\n\n', ProtocolError),
        (frame("message_stop"), ProtocolError),
        (END, ProtocolError),
        (frame_end(0) + frame("message_delta", delta={}) + frame("message_stop"), ProtocolError),
        (frame("message_start", message={"id": "other"}), ProtocolError),
        (frame("content_block_start", index=1), ProtocolError),
        (frame("content_block_delta", index=0), ProtocolError),
        (frame("message_delta"), ProtocolError),
        (frame_begin(0, TEXT), ProtocolError),
        (frame_begin(1, {"type": "tool_use", "id": "c", "input": {}}), ProtocolError),
        (frame_delta(0, type="text_delta", text=1), ProtocolError),
        (frame_delta(1, type="text_delta", text="x"), ProtocolError),
        (frame_end(1), ProtocolError),
    ],
)
def test_text_before_a_failure(failure: bytes, kind: type[Exception]) -> None:
    """Text that arrives together with a failure is told before it, and nothing after it."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    deltas = reader.feed(BEGUN + failure)

    assert deltas[1:] == [TextDelta("ab")]
    assert isinstance(reader.failure, kind)
    assert reader.finish is None
    assert reader.feed(frame_end(0) + END) == []


def test_content_before_the_message() -> None:
    """What comes before the message has begun belongs to none."""
    with pytest.raises(ProtocolError, match="begin first"):
        feed(frame("ping"), frame_begin(0, TEXT))


STREAM = b"".join(anthropic_stream(THINKING, {"type": "text", "text": "Héllo wörld"}, CALL))
WHOLE = assemble(STREAM)
