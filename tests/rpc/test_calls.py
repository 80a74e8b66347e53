"""What the wrapper around every call makes of faults that nobody foresaw."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import grpc
import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver.errors import PromptResolverError, from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.entry.admission import Gate, make_gates
from prompt_resolver_server.entry.caller import Caller
from prompt_resolver_server.entry.running import Running
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.rpc.calls import Calls, Send
from prompt_resolver_server.rpc.server import SERVICE, Listener
from tests.support.calls import status_of
from tests.support.raw import call_stream, call_unary, open_channel
from tests.support.serving import make_serving

SECRET = "a prompt, a value and a key"
FAULTS = "prompt_resolver_internal_errors_total"


async def fail(request: pb.ResolveRequest, caller: Caller) -> pb.ResolveResponse:
    raise ValueError(SECRET)


async def fail_in_the_stream(request: pb.CompleteStreamRequest, caller: Caller, send: Send) -> None:
    await send(pb.CompleteStreamResponse(text_delta="a"))
    raise KeyError(SECRET)


@pytest.fixture
def metrics() -> Metrics:
    """What the server counts."""
    return Metrics(CollectorRegistry(), version="test")


async def fail_to_watch(request: pb.CompleteStreamRequest, caller: Caller, send: Send) -> None:
    raise ValueError(SECRET)


async def answer(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
    return pb.CompleteResponse(id="whole")


@pytest.fixture
def running() -> Running:
    """The calls that run."""
    return Running()


@pytest.fixture
def gate(metrics: Metrics) -> Gate:
    """Lets completions in."""
    return make_gates({"complete": 1}, metrics)["complete"]


@pytest.fixture
async def channel(
    metrics: Metrics, running: Running, gate: Gate
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server whose methods have faults."""
    async with AsyncExitStack() as stack:
        calls = Calls(
            serving=make_serving(stack),
            gates={"complete": gate},
            running=running,
            metrics=metrics,
            max_message_bytes=4 * 1024 * 1024,
        )
        handlers = {
            "Resolve": calls.unary(SERVICE, "Resolve", pb.ResolveRequest, fail),
            "CompleteStream": calls.stream(
                SERVICE, "CompleteStream", pb.CompleteStreamRequest, fail_in_the_stream
            ),
            "Complete": calls.unary(
                SERVICE, "Complete", pb.CompleteRequest, answer, call_class="complete"
            ),
            "WatchPrompts": calls.stream(
                SERVICE, "WatchPrompts", pb.CompleteStreamRequest, fail_to_watch, lasting=True
            ),
        }
        listener = Listener(SERVICE, handlers, max_message_bytes=10_000, with_reflection=False)
        port = listener.bind("127.0.0.1:0")
        await listener.start()
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        await listener.stop(0)


async def code_of(call: "grpc.aio.Call") -> str:
    """Return how a call ends, having read all of it."""
    if isinstance(call, grpc.aio.UnaryStreamCall):
        with suppress(grpc.aio.AioRpcError):
            async for _ in call:
                pass
    return (await call.code()).name


async def caught(call: "grpc.aio.Call") -> PromptResolverError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            async for _ in call:
                pass
        elif isinstance(call, grpc.aio.UnaryUnaryCall):
            await call
    return from_rpc_error(error.value)


@pytest.mark.parametrize("streamed", [False, True])
async def test_fault_is_told_by_an_id(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture, streamed: bool
) -> None:
    """A caller is told an id alone; by it the log tells where it happened, without any text."""
    if streamed:
        error = await caught(call_stream(channel, SERVICE, "CompleteStream", b""))
    else:
        error = await caught(call_unary(channel, SERVICE, "Resolve", b""))

    lines = [JsonFormatter().format(record) for record in caplog.records]
    fault = next(json.loads(line) for line in lines if "a fault of this server" in line)
    assert status_of(error) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata == {"error_id": fault["error_id"]}
    assert fault["type"] == ("KeyError" if streamed else "ValueError")
    assert "test_calls.py" in fault["where"][-1]
    assert SECRET not in "".join([str(error), *lines])


async def test_ends_that_are_held_back(
    channel: grpc.aio.Channel, running: Running, metrics: Metrics
) -> None:
    """Answers and failures come once calls may end again, and take nobody's room until then."""
    running.hold()
    calls = [
        *(call_unary(channel, SERVICE, "Complete", b"") for _ in range(3)),
        call_unary(channel, SERVICE, "Resolve", b""),
        call_stream(channel, SERVICE, "CompleteStream", b""),
    ]
    begun = [asyncio.ensure_future(code_of(call)) for call in calls]
    hurried = ""
    while hurried != "OK" or metrics.registry.get_sample_value(FAULTS) != 2:
        # Who has no time to spare is answered at once, and finds room.
        hurried = await code_of(call_unary(channel, SERVICE, "Complete", b"", timeout_s=0.9))
    assert not any(each.done() for each in begun)

    running.release()

    assert await asyncio.gather(*begun) == ["OK"] * 3 + ["INTERNAL"] * 2


async def test_watch_that_ends_as_the_service_does(
    channel: grpc.aio.Channel, running: Running, metrics: Metrics
) -> None:
    """One that has failed while ends are held back is told of its failure, and of nothing else."""
    running.hold()
    watch = asyncio.ensure_future(code_of(call_stream(channel, SERVICE, "WatchPrompts", b"")))
    while metrics.registry.get_sample_value(FAULTS) != 1:
        await code_of(call_unary(channel, SERVICE, "Complete", b"", timeout_s=0.9))
    running.refuse()
    running.release()

    assert await watch == "INTERNAL"


async def test_headers_of_an_answer_that_is_held_back(
    channel: grpc.aio.Channel, running: Running
) -> None:
    """They come meanwhile, so that nobody has it made anew."""
    running.hold()
    # As a stream: gRPC's Python tells of headers only then.
    call = call_stream(channel, SERVICE, "Complete", b"")
    await call.initial_metadata()
    assert not call.done()
    running.release()

    assert await code_of(call) == "OK"


async def test_faults_are_counted(channel: grpc.aio.Channel, metrics: Metrics) -> None:
    """A fault is counted for whoever mends it, from a number that is there before the first."""
    before = metrics.registry.get_sample_value(FAULTS)

    await caught(call_unary(channel, SERVICE, "Resolve", b""))
    await caught(call_stream(channel, SERVICE, "CompleteStream", b""))

    assert (before, metrics.registry.get_sample_value(FAULTS)) == (0, 2)


def test_log_hides_the_text_of_exceptions() -> None:
    """An exception that anybody logs is told by its type and its place, never by its text."""
    formatter = JsonFormatter()
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        record = logging.LogRecord(
            "n", logging.ERROR, "p", 1, "line\nbreak", (), (ValueError, error, error.__traceback__)
        )

    line = formatter.format(record)

    assert SECRET not in line
    assert "\n" not in line
    assert json.loads(line)["type"] == "ValueError"
