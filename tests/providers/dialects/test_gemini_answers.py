"""Google's Gemini dialect: what is made of what comes back."""

import json

import pytest

from prompt_resolver_server.domain.answers import (
    Finish,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Message, Reasoning, Text, ToolCall
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, ProtocolError
from prompt_resolver_server.providers.dialects.gemini import GeminiDialect
from tests.support.dialects.requests import Requests, say
from tests.support.dialects.streams import Streams
from tests.support.gemini import (
    BARE_CALL,
    CALL,
    SIGNATURE,
    SIGNED_TEXT,
    SIGNED_THOUGHT,
    TEXT,
    THOUGHT,
    USAGE,
    Fields,
    chunk,
    error_of,
    frame,
    gemini_answer,
    gemini_error,
    gemini_stream,
    gemini_texts,
)

DIALECT = GeminiDialect()
STREAMS = Streams(DIALECT, to_the_end=True)
feed, assemble = STREAMS.feed, STREAMS.assemble
SEAL = SIGNATURE.encode()


def test_whole_answer() -> None:
    """A whole answer has its text, its end and its usage: thoughts are output, results input."""
    answer = DIALECT.parse(gemini_answer())

    assert (answer.id, answer.message) == ("resp_1", say("assistant", Text("Hello")))
    assert answer.finish == Finish(
        reason="stop",
        raw_reason="STOP",
        model="served-model",
        usage=Usage(input_tokens=10, output_tokens=7, cache_read_tokens=3, reasoning_tokens=3),
    )


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 2},
            Usage(input_tokens=5, output_tokens=2),
        ),
        ({"thoughtsTokenCount": 4}, Usage(output_tokens=4, reasoning_tokens=4)),
        ({"promptTokenCount": -1, "candidatesTokenCount": True}, Usage()),
        (None, None),
    ],
)
def test_counts(counts: Fields | None, usage: Usage | None) -> None:
    """A count that is missing, or none, is unknown; one of several is not."""
    assert DIALECT.parse(gemini_answer(usageMetadata=counts)).finish.usage == usage


EVERYTHING = (SIGNED_THOUGHT, SIGNED_TEXT, TEXT, CALL, BARE_CALL)
MESSAGE = Message(
    role="assistant",
    content=(
        Reasoning(text="Hm, wéll.", signature=SEAL),
        Text("Hello"),
        Reasoning(signature=SEAL),
        Text("Hello"),
    ),
    tool_calls=(
        ToolCall(id="fc_1", name="find", arguments_json='{"a":[1,2]}', signature=SEAL),
        ToolCall(id="call_1_resp_1", name="now", arguments_json="{}"),
    ),
)


def test_answer_with_everything() -> None:
    """An answer keeps the order of its parts, whole or streamed, and can be sent back as it is."""
    whole = DIALECT.parse(gemini_answer(*EVERYTHING))
    streamed = assemble(*gemini_stream(*EVERYTHING))
    body, _ = Requests(DIALECT).build(whole.message)

    assert whole.message == MESSAGE
    assert whole.finish.reason == "tool_calls"
    assert streamed == whole
    (turn,) = body["contents"]
    *same, named = turn["parts"]
    assert same == list(EVERYTHING[:-1])
    assert named == {"functionCall": {"id": "call_1_resp_1", "name": "now", "args": {}}}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("ESCALATION", "other"),
        ("NEW", "other"),
    ],
)
def test_finish_reasons(raw: str, reason: str) -> None:
    """The reason of the end is ours, and the API's own word stays beside it."""
    whole = DIALECT.parse(gemini_answer(finish=raw)).finish
    called = DIALECT.parse(gemini_answer(CALL, finish=raw)).finish

    assert (whole.reason, whole.raw_reason) == (reason, raw)
    assert called.reason == ("tool_calls" if reason == "stop" else reason)


@pytest.mark.parametrize(
    "raw",
    [
        *("FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"),
        *("UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    ],
)
def test_ends_that_are_failures(raw: str) -> None:
    """An end that is a failure is no answer, whole or streamed."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(gemini_answer(finish=raw))
    reader = DIALECT.read_stream(NO_QUIRKS)
    deltas = reader.feed(frame(chunk(TEXT, finish=raw)))

    assert deltas[1:] == [TextDelta("Hello")]
    assert isinstance(reader.failure, ProtocolError)


@pytest.mark.parametrize(
    "body",
    [
        gemini_answer(finish=None),
        json.dumps({"candidates": [], "usageMetadata": USAGE}).encode(),
        gemini_answer({"functionCall": {"args": {}}}),
        gemini_answer({"inlineData": {"mimeType": "image/png", "data": "AAE="}}),
        gemini_answer({"text": 1}),
        gemini_answer().replace(b'"parts": [', b'"parts": [1, '),
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    """What has no end, or a content that ours has no place for, is no answer."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(body)


def test_what_the_api_may_add() -> None:
    """Other answers, and parts and fields of other kinds, do no harm."""
    other: Fields = {"executableCode": {"language": "PYTHON", "code": "1"}}
    document = chunk(other, TEXT, {}, finish="STOP")
    candidates = document["candidates"]
    assert isinstance(candidates, list)
    second = {"index": 1, "content": {"parts": [{"text": "x"}]}, "finishReason": "OTHER"}
    candidates.append(second)

    answer = DIALECT.parse(json.dumps({**document, "new": [1]}).encode())

    assert answer.message == say("assistant", Text("Hello"))


def test_empty_answer() -> None:
    """A model may say nothing."""
    empty = {"candidates": [{"finishReason": "STOP"}], "modelVersion": "m"}

    answer = DIALECT.parse(json.dumps(empty).encode())

    assert (answer.message.content, answer.finish.reason) == ((), "stop")


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "PROHIBITED_CONTENT", "NEW"])
def test_blocked_prompt(reason: str) -> None:
    """A prompt that is blocked is a failure, whole or streamed, whatever the block's reason."""
    document = {"promptFeedback": {"blockReason": reason}, "usageMetadata": USAGE}

    with pytest.raises(InBandError) as whole:
        DIALECT.parse(json.dumps(document).encode())
    with pytest.raises(InBandError) as streamed:
        feed(frame(document))

    assert whole.value.reason == streamed.value.reason == Reason.CONTENT_BLOCKED


def test_feedback_that_blocks_nothing() -> None:
    """What the API thinks of a prompt that it answers is nothing to us."""
    answer = DIALECT.parse(gemini_answer(promptFeedback={"safetyRatings": []}))

    assert answer.message.text == "Hello"


def quota(*limits: str) -> Fields:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": limit} for limit in limits],
    }


def info(reason: str) -> Fields:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gemini_error("INVALID_ARGUMENT"), Reason.UPSTREAM_REJECTED),
        (
            gemini_error(
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            Reason.CONTEXT_LENGTH,
        ),
        (
            gemini_error(
                "INVALID_ARGUMENT",
                "Unable to submit request because the input token count is 9 but the model …",
            ),
            Reason.CONTEXT_LENGTH,
        ),
        (gemini_error("INVALID_ARGUMENT", "m", info("API_KEY_INVALID")), Reason.UPSTREAM_AUTH),
        (gemini_error("INVALID_ARGUMENT", "m", info("NEW")), Reason.UPSTREAM_REJECTED),
        (gemini_error("FAILED_PRECONDITION"), Reason.UPSTREAM_REJECTED),
        (gemini_error("UNAUTHENTICATED", code=401), Reason.UPSTREAM_AUTH),
        (gemini_error("PERMISSION_DENIED", code=403), Reason.UPSTREAM_AUTH),
        (gemini_error("NOT_FOUND", code=404), Reason.MODEL_NOT_FOUND),
        (gemini_error("RESOURCE_EXHAUSTED", code=429), Reason.UPSTREAM_RATE_LIMITED),
        (
            gemini_error("RESOURCE_EXHAUSTED", "m", quota("RequestsPerMinute"), code=429),
            Reason.UPSTREAM_RATE_LIMITED,
        ),
        (
            gemini_error("RESOURCE_EXHAUSTED", "m", info("x"), quota("A", "RequestsPerDayPerX")),
            Reason.UPSTREAM_QUOTA,
        ),
        (gemini_error("INTERNAL", code=500), Reason.UPSTREAM_UNAVAILABLE),
        (gemini_error("UNAVAILABLE", code=503), Reason.UPSTREAM_UNAVAILABLE),
        (
            gemini_error("UNAVAILABLE", "The model is overloaded. Please …", code=503),
            Reason.UPSTREAM_OVERLOADED,
        ),
        (gemini_error("DEADLINE_EXCEEDED", code=504), Reason.UPSTREAM_TIMEOUT),
    ],
)
def test_errors(body: bytes, reason: Reason) -> None:
    """An error is told by its status, or by what it adds, wherever and however it is reported."""
    event = frame(json.loads(body))
    plain = frame(chunk(TEXT)) + body.replace(b"\n", b"\r\n")
    listed = frame(chunk(TEXT)) + b"[" + body + b"]\n"
    reasons = [DIALECT.classify(400, body), DIALECT.classify(400, b"[" + body + b"]")]
    for stream in (event, plain, listed):
        with pytest.raises(InBandError) as streamed:
            feed(stream)
        reasons.append(streamed.value.reason)
    for whole in (body, b"[" + body + b"]"):
        with pytest.raises(InBandError) as caught:
            DIALECT.parse(whole)
        reasons.append(caught.value.reason)

    assert reasons == [reason] * 7


@pytest.mark.parametrize(
    "details",
    ["x", [1], [{"violations": 1}], [{"violations": [1]}], [{"violations": [{"quotaId": 1}]}]],
)
def test_details_of_another_form(details: Json) -> None:
    """Details that are none tell nothing."""
    body = gemini_error("RESOURCE_EXHAUSTED", details=details)

    assert DIALECT.classify(429, body) == Reason.UPSTREAM_RATE_LIMITED


def test_time_to_wait_inside_of_a_stream() -> None:
    """A failure inside of a stream tells how long to wait, as one in place of it does."""
    delay: Fields = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}

    with pytest.raises(InBandError) as caught:
        feed(frame(error_of("RESOURCE_EXHAUSTED", "m", delay, code=429)))
    assert caught.value.retry_after_s == 7.5
    with pytest.raises(InBandError) as untold:
        feed(frame(error_of("RESOURCE_EXHAUSTED", code=429)))
    assert untold.value.retry_after_s is None


def test_errors_that_are_not_known() -> None:
    """What is not known is told by its HTTP status, or is no answer."""
    assert DIALECT.classify(400, gemini_error("NEW")) is None
    assert DIALECT.classify(400, b"<html>") is None
    assert DIALECT.classify(400, b'{"error": "text"}') is None
    assert DIALECT.classify(400, b"[]") is None
    with pytest.raises(InBandError) as caught:
        feed(frame(error_of("NEW", code=503)))
    assert (caught.value.reason, caught.value.status) == (None, 503)


@pytest.mark.parametrize(
    "failure",
    [
        frame(error_of("NEW", code=0)),
        frame({"error": "x"}),
        b"event: error\ndata: {}\n\n",
        b"data: x\n\n",
        b"data: [1]\n\n",
        b"data: [DONE]\n\n",
        b'data: {"candidates": 1}\n\n',
        frame(chunk({"functionCall": {"args": {}}})),
        frame(chunk({"inlineData": {}})),
    ],
)
def test_text_before_a_failure(failure: bytes) -> None:
    """Text that arrives together with a failure is told before it, and nothing after it."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    deltas = reader.feed(frame(chunk({"text": "ab"})) + failure)

    assert deltas[1:] == [TextDelta("ab")]
    assert isinstance(reader.failure, ProtocolError)
    assert reader.feed(frame(chunk(TEXT, finish="STOP"))) == []
    assert reader.feed(b"") == []
    assert reader.finish is None


def test_stream() -> None:
    """A stream opens with the answer's id and model, and ends as a whole answer does."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    deltas = reader.feed(b"".join(gemini_texts("Hel", "lo")))

    assert deltas[0] == Opened(id="resp_1", model="served-model")
    assert reader.finish is None
    assert reader.feed(b"") == []
    assert reader.finish == DIALECT.parse(gemini_answer()).finish


def test_streamed_parts() -> None:
    """Signatures come with the thought or the call that they are for, or after their text."""
    stream = gemini_stream({**SIGNED_THOUGHT, "text": "Hm."}, {**SIGNED_TEXT, "text": "Hi"}, CALL)
    deltas, _ = feed(b"".join(stream))

    assert deltas[1:] == [
        ReasoningDelta(Reasoning(text="Hm.", signature=SEAL)),
        TextDelta("Hi"),
        ReasoningDelta(Reasoning(signature=SEAL)),
        ToolCallDelta(
            index=0, id="fc_1", name="find", arguments_json='{"a":[1,2]}', signature=SEAL
        ),
    ]


def test_finish_reason_in_every_chunk() -> None:
    """Only the end of the stream ends the answer: some models give a reason in every chunk."""
    texts = [frame(chunk({"text": text}, finish="STOP")) for text in ("Hel", "lo")]
    more = frame(chunk({"text": "!"}, finish="MAX_TOKENS"))

    answer = assemble(*texts, more)

    assert answer.message == say("assistant", Text("Hello!"))
    assert (answer.finish.reason, answer.finish.raw_reason) == ("length", "MAX_TOKENS")


def test_usage_in_another_chunk() -> None:
    """Counts are the newest, in whichever chunk they are, and none is lost."""
    early = frame(chunk({"text": "Hel"}, usageMetadata={**USAGE, "candidatesTokenCount": 1}))
    end = frame(chunk({"text": "lo"}, finish="STOP", usageMetadata=None))
    late = frame({"usageMetadata": {"candidatesTokenCount": 4}})

    assert assemble(early, end, late) == DIALECT.parse(gemini_answer())


def test_stream_without_a_reason() -> None:
    """A stream that ends well, and before its answer, is no answer."""
    deltas, finish = feed(frame(chunk(TEXT)), frame({"usageMetadata": USAGE}))

    assert deltas[1:] == [TextDelta("Hello")]
    assert finish is None


def test_thoughts_in_pieces() -> None:
    """A thought that comes in pieces is one."""
    answer = assemble(*gemini_stream(THOUGHT, TEXT))

    assert answer.message == say("assistant", Reasoning(text="Hm, wéll."), Text("Hello"))
