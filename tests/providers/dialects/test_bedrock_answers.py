"""Bedrock's Converse dialect: what is made of what comes back."""

import json
from base64 import b64encode

import pytest

from prompt_resolver_server.domain.answers import (
    Answer,
    Finish,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.prompts import Message, Reasoning, Text, ToolCall
from prompt_resolver_server.providers.dialect import (
    InBandError,
    ProtocolError,
)
from prompt_resolver_server.providers.dialects.bedrock import BedrockDialect
from tests.support.bedrock import (
    BARE_CALL,
    CALL,
    CITED,
    REDACTED,
    SEALED,
    SIGNATURE,
    TEXT,
    THINKING,
    Fields,
    bedrock_answer,
    bedrock_stream,
    bedrock_texts,
    delta,
    event,
    exception,
    frame,
)
from tests.support.dialects.streams import Streams

DIALECT = BedrockDialect()
read, assemble = Streams(DIALECT).read, Streams(DIALECT).assemble
EVERYTHING = (THINKING, REDACTED, TEXT, CITED, CALL, BARE_CALL)
SERVER_CALL: Fields = {
    "toolUse": {
        "toolUseId": "s",
        "name": "nova_grounding",
        "type": "server_tool_use",
        "input": {"a": 1},
    }
}
USAGE = Usage(input_tokens=10, output_tokens=7, cache_read_tokens=3, cache_write_tokens=2)
BEGIN = event("messageStart", role="assistant")
STOP = event("messageStop", stopReason="end_turn")


def test_whole_answer() -> None:
    """A whole answer has its text, its end and its usage, the cache's share included."""
    assert DIALECT.parse(bedrock_answer()) == Answer(
        id="",
        message=Message(role="assistant", content=(Text("Hellö 世界"),)),
        finish=Finish(reason="stop", raw_reason="end_turn", model="", usage=USAGE),
    )


def test_everything() -> None:
    """Everything that an answer may have in it is there, in its order, whole and streamed."""
    whole = DIALECT.parse(bedrock_answer(*EVERYTHING, stop="tool_use"))

    assert whole.message == Message(
        role="assistant",
        content=(
            Reasoning(text="Hm, well.", signature=SIGNATURE.encode()),
            Reasoning(redacted=b64encode(SEALED)),
            Text("Hellö 世界As it is written."),
        ),
        tool_calls=(
            ToolCall(id="tooluse_1", name="find", arguments_json='{"a":[1,2]}'),
            ToolCall(id="tooluse_2", name="now", arguments_json="{}"),
        ),
    )
    assert assemble(*bedrock_stream(*EVERYTHING, stop="tool_use")) == whole


@pytest.mark.parametrize("block", [SERVER_CALL, {"searchResult": {}}, {"video": {"format": "mp4"}}])
def test_blocks_of_other_kinds(block: Fields) -> None:
    """Blocks that nobody here knows are skipped, and calls of tools that Bedrock itself runs."""
    blocks = (block, TEXT, CALL)

    whole = DIALECT.parse(bedrock_answer(*blocks))

    assert whole.message.content == (Text("Hellö 世界"),)
    assert [call.name for call in whole.message.tool_calls] == ["find"]
    assert assemble(*bedrock_stream(*blocks)) == whole


def test_model_that_a_router_chose() -> None:
    """Where a router has chosen the model, the answer names it."""
    trace = {"promptRouter": {"invokedModelId": "arn:chosen"}}

    assert DIALECT.parse(bedrock_answer(trace=trace)).finish.model == "arn:chosen"
    assert assemble(*bedrock_stream(trace=trace)).finish.model == "arn:chosen"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 1, "outputTokens": 2}, Usage(input_tokens=1, output_tokens=2)),
        (
            {"outputTokens": 2, "cacheReadInputTokens": 3},
            Usage(output_tokens=2, cache_read_tokens=3),
        ),
        ({"inputTokens": -1, "outputTokens": 2**60}, Usage()),
        ({}, None),
    ],
)
def test_usage(usage: Fields, expected: Usage | None) -> None:
    """A count that is not there, or cannot be true, is unknown."""
    assert DIALECT.parse(bedrock_answer(usage=usage)).finish.usage == expected
    assert assemble(*bedrock_stream(usage=usage)).finish.usage == expected


@pytest.mark.parametrize("raw", ["malformed_model_output", "malformed_tool_use"])
def test_ends_of_no_answer(raw: str) -> None:
    """Where the model has not made an answer, there is none."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(bedrock_answer(stop=raw))

    reader, _ = read(*bedrock_stream(stop=raw))

    assert reader.finish is None
    assert isinstance(reader.failure, ProtocolError)


@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "Their words."}',
        b'{"output": {}, "stopReason": "end_turn"}',
        b'{"output": {"message": {}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": 1}]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": []}}}',
        bedrock_answer({"toolUse": {"name": "find", "input": {}}}),
        bedrock_answer({"toolUse": {"toolUseId": "", "name": "find", "input": {}}}),
        bedrock_answer({"toolUse": {"toolUseId": "c", "name": "find", "input": "text"}}),
        bedrock_answer({"reasoningContent": {"redactedContent": "!"}}),
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    """What is not an answer of the dialect is `ProtocolError`, which quotes nothing of it."""
    with pytest.raises(ProtocolError) as caught:
        DIALECT.parse(body)

    assert "Their words" not in str(caught.value)


def test_stream() -> None:
    """Texts arrive as they come; what has ended the answer is followed by its usage."""
    begin, *texts, end, stop, usage = bedrock_texts("Hel", "lo")

    reader, deltas = read(begin, *texts, end)
    assert deltas == [Opened(id="", model=""), TextDelta("Hel"), TextDelta("lo")]
    assert reader.finish is None
    assert reader.feed(stop + usage) == []
    assert reader.finish == Finish(reason="stop", raw_reason="end_turn", model="", usage=USAGE)


def test_streamed_reasoning() -> None:
    """Reasoning arrives as it comes, and its signature at the end, in however many pieces."""
    pieces = [{"text": "Hm."}, {"text": " So."}, {"signature": "si"}, {"signature": "gn"}]

    _, deltas = read(
        BEGIN,
        *(delta(0, reasoningContent=piece) for piece in pieces),
        event("contentBlockStop", contentBlockIndex=0),
    )

    assert deltas[1:] == [
        ReasoningDelta(Reasoning(text="Hm.")),
        ReasoningDelta(Reasoning(text=" So.")),
        ReasoningDelta(Reasoning(signature=b"sign")),
    ]


def test_streamed_tool_calls() -> None:
    """Calls that come in pieces, in between each other, are told apart."""

    def begin(index: int, name: str) -> bytes:
        start = {"toolUse": {"toolUseId": f"c{index}", "name": name}}
        return event("contentBlockStart", contentBlockIndex=index, start=start)

    _, deltas = read(
        BEGIN,
        begin(1, "find"),
        begin(2, "now"),
        delta(2, toolUse={"input": "{"}),
        delta(1, toolUse={"input": '{"a":1}'}),
        delta(2, toolUse={"input": "}"}),
        STOP,
    )

    assert deltas[1:] == [
        ToolCallDelta(index=0, id="c1", name="find"),
        ToolCallDelta(index=1, id="c2", name="now"),
        ToolCallDelta(index=1, arguments_json="{"),
        ToolCallDelta(index=0, arguments_json='{"a":1}'),
        ToolCallDelta(index=1, arguments_json="}"),
    ]


def test_blocks_that_do_not_end() -> None:
    """The end of an answer ends its blocks, with what they have kept to themselves."""
    call = {"toolUse": {"toolUseId": "c", "name": "now"}}

    reader, deltas = read(
        BEGIN,
        delta(0, reasoningContent={"signature": "s"}),
        event("contentBlockStart", contentBlockIndex=1, start=call),
        STOP,
        b"",
    )

    assert reader.finish is not None
    assert ReasoningDelta(Reasoning(signature=b"s")) in deltas
    assert deltas[-1] == ToolCallDelta(index=0, arguments_json="{}")


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        event("metadata", usage=None),
        event("metadata", usage="none"),
        exception("internalServerException"),
        event("contentBlockDelta", contentBlockIndex=0, delta={"text": "More."}),
        b"a" * 100,
    ],
    ids=["end", "no usage", "no metadata", "failure", "more", "garbage"],
)
def test_what_comes_in_place_of_usage(rest: bytes) -> None:
    """An answer that has arrived stays one, whatever comes where its usage should be."""
    reader, deltas = read(*bedrock_texts("Hello")[:-1], rest)

    assert reader.failure is None
    assert reader.finish == Finish(reason="stop", raw_reason="end_turn", model="", usage=None)
    assert deltas[1:] == [TextDelta("Hello")]


def test_usage_that_is_cut() -> None:
    """An answer that has arrived stays one, wherever its usage is cut."""
    *messages, usage = bedrock_texts("Hello")

    for offset in range(len(usage)):
        reader, _ = read(*messages, usage[:offset] or b"", b"")
        assert reader.finish is not None, offset
        assert (reader.failure, reader.finish.usage) == (None, None), offset


@pytest.mark.parametrize(
    "failure",
    [
        event("messageStart", role="assistant"),
        event("metadata", usage={}),
        event("messageStop"),
        event("contentBlockDelta", contentBlockIndex=0),
        event("contentBlockStart", contentBlockIndex=0),
        delta(3, toolUse={"input": "{}"}),
        delta(0, text=1),
        event("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"name": "n"}}),
        frame({":message-type": "event", ":event-type": "messageStop"}, b"<html>"),
        exception("somethingNewException"),
        b"a" * 16,
    ],
)
def test_failures_inside(failure: bytes) -> None:
    """What is not of the dialect ends a stream, and what came before it stays."""
    reader, deltas = read(BEGIN + delta(0, text="Hello") + failure + STOP)

    assert deltas == [Opened(id="", model=""), TextDelta("Hello")]
    assert isinstance(reader.failure, ProtocolError)
    assert reader.finish is None


def test_events_of_other_kinds() -> None:
    """Events that nobody here knows are skipped."""
    strange = event("somethingNew", contentBlockIndex="?")

    reader, deltas = read(strange, BEGIN, strange, delta(0, text="Hello"), STOP, strange, b"")

    assert reader.finish is not None
    assert deltas[1:] == [TextDelta("Hello")]


def test_content_before_the_message() -> None:
    """A message begins before its content."""
    reader, deltas = read(delta(0, text="Hello"))

    assert (deltas, reader.finish) == ([], None)
    assert isinstance(reader.failure, ProtocolError)


EXCEPTIONS = [
    ("throttlingException", 429, "m", Reason.UPSTREAM_RATE_LIMITED),
    ("throttlingException", 429, "Too many tokens per day, please wait.", Reason.UPSTREAM_QUOTA),
    ("validationException", 400, "m", Reason.UPSTREAM_REJECTED),
    ("validationException", 400, "Input is too long for the model.", Reason.CONTEXT_LENGTH),
    (
        "validationException",
        400,
        "The model returned the following errors: prompt is too long: 3 tokens > 2 maximum",
        Reason.CONTEXT_LENGTH,
    ),
    (
        "validationException",
        400,
        "The provided model identifier is invalid.",
        Reason.MODEL_NOT_FOUND,
    ),
    ("serviceUnavailableException", 503, "m", Reason.UPSTREAM_OVERLOADED),
    ("modelErrorException", 424, "m", Reason.UPSTREAM_UNAVAILABLE),
]


@pytest.mark.parametrize(
    ("name", "message", "reason"),
    [
        *((name, message, reason) for name, _, message, reason in EXCEPTIONS),
        ("internalServerException", "m", Reason.UPSTREAM_UNAVAILABLE),
        ("modelStreamErrorException", "m", Reason.UPSTREAM_UNAVAILABLE),
        ("modelTimeoutException", "m", Reason.UPSTREAM_TIMEOUT),
        ("modelNotReadyException", "m", Reason.UPSTREAM_UNAVAILABLE),
        ("accessDeniedException", "m", Reason.UPSTREAM_AUTH),
        ("resourceNotFoundException", "m", Reason.MODEL_NOT_FOUND),
    ],
)
def test_exceptions(name: str, message: str, reason: Reason) -> None:
    """An exception inside of a stream is a failure by its name."""
    reader, _ = read(BEGIN, exception(name, message))

    assert isinstance(reader.failure, InBandError)
    assert reader.failure.reason is reason


@pytest.mark.parametrize(("status", "message", "reason"), [row[1:] for row in EXCEPTIONS])
def test_errors(status: int, message: str, reason: Reason) -> None:
    """An error's status tells its name, and its message may tell more."""
    assert DIALECT.classify(status, json.dumps({"message": message}).encode()) is reason


@pytest.mark.parametrize("status", [401, 403, 404, 408, 413, 500, 502])
def test_errors_that_need_no_name(status: int) -> None:
    """Other statuses mean here what they mean anywhere."""
    assert DIALECT.classify(status, b'{"message": "m"}') is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 1}', b'{"message": null}'])
def test_errors_without_a_message(body: bytes) -> None:
    """An error whose body tells nothing is one by its status."""
    assert DIALECT.classify(429, body) is Reason.UPSTREAM_RATE_LIMITED
    assert DIALECT.classify(400, body) is Reason.UPSTREAM_REJECTED
