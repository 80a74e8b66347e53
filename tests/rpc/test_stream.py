"""`CompleteStream` over a real gRPC socket, with a provider on a real one."""

import asyncio
import gc

import pytest
from grpc import StatusCode

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, Streamed, collect, status_of
from tests.support.cuts import TEXTS, check_cuts
from tests.support.service import RunningService
from tests.support.upstream import Exchange, Upstream, answer_with, openai_events, stream_of


async def test_streams_the_answer(service: RunningService, upstream: Upstream) -> None:
    """The answer arrives in order, `started` first and `finished` last, each exactly once."""
    streamed = await collect(service.client)

    assert streamed.error is None
    assert streamed.kinds[0] == "started"
    assert set(streamed.kinds[1:-1]) == {"text_delta"}
    assert streamed.text == "Hello"
    started, finished = streamed.events[0].started, streamed.finished
    assert (started.id, started.provider, started.model) == ("chatcmpl-1", "fake", "served-model")
    assert started.prompt.id == "greet"
    assert not started.HasField("resolved")
    assert finished.finish_reason == pb.FINISH_REASON_STOP
    assert (finished.usage.input_tokens, finished.usage.output_tokens) == (5, 2)
    assert [each.outcome for each in finished.attempts] == ["ok"]
    assert upstream.exchanges[0].json["stream"] is True
    assert upstream.exchanges[0].json["stream_options"] == {"include_usage": True}


async def test_started_comes_with_the_first_event(
    service: RunningService, upstream: Upstream
) -> None:
    """`started` and each text are passed on as they arrive, not when the answer ends."""
    events = openai_events("Hel", "lo")
    call = service.client.complete_stream("greet", variables=VARIABLES)

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(events[0])
        await asked_for_more.wait()
        await exchange.send(b"".join(events[1:]))
        exchange.writer.close()

    asked_for_more = asyncio.Event()
    upstream.answer = answer

    first = await anext(call)
    asked_for_more.set()
    rest = [event async for event in call]

    assert first.WhichOneof("event") == "started"
    assert rest[-1].WhichOneof("event") == "finished"


async def test_cut(service: RunningService, upstream: Upstream) -> None:
    """A stream that ends before its terminal marker is never OK, wherever it is cut."""
    events = openai_events(*TEXTS)

    await check_cuts(service.client, upstream, events, len(b"".join(events).rstrip()))


async def test_whole_stream_without_its_last_newlines(
    service: RunningService, upstream: Upstream
) -> None:
    """The terminal marker makes an answer whole, even without the blank line after it."""
    upstream.answer = stream_of(b"".join(openai_events(*TEXTS)).rstrip())

    assert (await collect(service.client)).text == "Héllo world"


async def test_reset_in_the_stream(service: RunningService, upstream: Upstream) -> None:
    """A connection that is reset cuts the answer; how much had come is told."""

    async def reset(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hello")[:2]))
        exchange.reset()

    upstream.answer = reset

    streamed = await collect(service.client)

    assert status_of(streamed.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")


async def test_truncation_tells_how_much_had_come(
    service: RunningService, upstream: Upstream
) -> None:
    """A cut answer's error counts the chunks and the characters that arrived."""
    upstream.answer = stream_of(*openai_events("Hello")[:2])

    streamed = await collect(service.client)

    assert streamed.error is not None
    assert streamed.error.metadata == {"provider": "fake", "chunks": "2", "chars": "5"}


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        (
            b'data: {"error": {"code": "rate_limit_exceeded", "message": "m"}}\n\n',
            StatusCode.RESOURCE_EXHAUSTED,
            "UPSTREAM_RATE_LIMITED",
        ),
        (
            b'data: {"error": {"code": 503, "message": "m"}}\n\n',
            StatusCode.UNAVAILABLE,
            "UPSTREAM_UNAVAILABLE",
        ),
        (b'data: {"error": {"message": "m"}}\n\n', StatusCode.INTERNAL, "UPSTREAM_PROTOCOL"),
        (b"data: not json\n\n", StatusCode.INTERNAL, "UPSTREAM_PROTOCOL"),
        (b"data: [1]\n\n", StatusCode.INTERNAL, "UPSTREAM_PROTOCOL"),
        (b"data: [DONE]\n\n", StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED"),
        (b"data: " + b"x" * 1_100_000, StatusCode.INTERNAL, "UPSTREAM_PROTOCOL"),
        (
            b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}\n\n',
            StatusCode.INTERNAL,
            "UPSTREAM_PROTOCOL",
        ),
    ],
)
async def test_failure_inside_the_stream(
    service: RunningService, upstream: Upstream, event: bytes, code: StatusCode, reason: str
) -> None:
    """An error, or nonsense, in place of an event is a status and never text."""
    upstream.answer = stream_of(*openai_events("Hel")[:2], event)

    streamed = await collect(service.client)

    assert status_of(streamed.error) == (code, reason)
    assert "finished" not in streamed.kinds
    assert streamed.error is not None
    assert bool(streamed.error.metadata.get("problem")) == (reason == "UPSTREAM_PROTOCOL")


async def test_json_in_place_of_a_stream(service: RunningService, upstream: Upstream) -> None:
    """A failure that comes as JSON under 200, where a stream was asked for, keeps its reason."""
    upstream.answer = answer_with(b'{"error": {"code": "insufficient_quota"}}')

    streamed = await collect(service.client)

    assert status_of(streamed.error) == (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA")


async def test_chunked_stream(service: RunningService, upstream: Upstream) -> None:
    """A chunked stream without its terminal marker is cut, although its chunks are complete."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        for event in events:
            await exchange.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await exchange.send(b"0\r\n\r\n")

    upstream.answer = answer

    events = openai_events("Hello")
    whole = await collect(service.client)
    events = events[:-1]
    cut = await collect(service.client)

    assert whole.text == "Hello"
    assert whole.error is None
    assert status_of(cut.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")


@pytest.mark.parametrize("before", [0, 2, None])
async def test_malformed_chunk(
    service: RunningService,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    before: int | None,
) -> None:
    """A chunk that makes no sense cuts the answer soon, and does nothing to one that is whole."""
    events = openai_events("Hel", "lo")
    rest = events[1:] if before is None else events[1 : 1 + before]
    began = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await exchange.send(b"%x\r\n%s\r\n" % (len(events[0]), events[0]))
        await began.wait()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in rest)
        await exchange.send(chunks + b"nonsense\r\n")
        await exchange.wait_closed()

    upstream.answer = answer
    stream = service.client.complete_stream("greet", variables=VARIABLES)
    streamed = Streamed([await anext(stream)])
    began.set()

    async with asyncio.timeout(20):
        try:
            streamed.events += [event async for event in stream]
        except PromptResolverError as error:
            streamed.error = error
        while upstream.exchanges[0].closed_at is None:
            await service.client.resolve("greet", variables=VARIABLES)
    gc.collect()

    if before is None:
        assert (streamed.error, streamed.text) == (None, "Hello")
    else:
        assert status_of(streamed.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_nothing_after_the_terminal_marker(
    service: RunningService, upstream: Upstream
) -> None:
    """What follows the terminal marker is ignored, and not waited for."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join([*openai_events("Hello"), *openai_events("again")]))
        await exchange.wait_closed()

    upstream.answer = answer

    streamed = await collect(service.client)

    assert streamed.text == "Hello"
    assert streamed.error is None
