"""When a call that must not be made twice has its headers."""

import asyncio
import gc
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.errors import CallError, Reason, ServerError
from prompt_resolver_server.entry.caller import Caller
from prompt_resolver_server.entry.running import Running
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.rpc.calls import Calls, HandleUnary
from prompt_resolver_server.rpc.headers import LateHeaders
from prompt_resolver_server.rpc.server import SERVICE, Listener
from prompt_resolver_server.runtime.alarms import Alarms
from tests.support.raw import call_stream, call_unary, open_channel
from tests.support.serving import make_serving

if TYPE_CHECKING:
    from prompt_resolver_server.rpc.call import Context

ANSWER = pb.CompleteResponse(id="whole")
CALLS = 600
SPREAD_S = 0.15


@asynccontextmanager
async def serving(
    handle: HandleUnary[pb.CompleteRequest], running: Running, metrics: Metrics | None = None
) -> AsyncIterator[str]:
    """Serve this as `Complete`, and return where."""
    async with AsyncExitStack() as stack:
        calls = Calls(
            serving=make_serving(stack),
            gates={},
            running=running,
            metrics=metrics or Metrics(CollectorRegistry(), version="test"),
            max_message_bytes=4 * 1024 * 1024,
        )
        handlers = {"Complete": calls.unary(SERVICE, "Complete", pb.CompleteRequest, handle)}
        listener = Listener(SERVICE, handlers, max_message_bytes=10_000, with_reflection=False)
        port = listener.bind("127.0.0.1:0")
        await listener.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await listener.stop(0)


async def test_answer_that_takes_a_moment() -> None:
    """They come before an answer that takes a moment, and the answer comes thereafter."""
    goes_on = asyncio.Event()

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        await goes_on.wait()
        return ANSWER

    async with serving(handle, Running()) as address, open_channel(address) as channel:
        # As a stream: gRPC's Python tells of headers only then.
        call = call_stream(channel, SERVICE, "Complete", b"")
        await call.initial_metadata()
        goes_on.set()
        answers = [pb.CompleteResponse.FromString(each) async for each in call]

    assert answers == [ANSWER]


async def test_service_that_is_being_stopped() -> None:
    """Then they come before anything is done: calls that have not begun are cancelled soon."""
    came = threading.Event()
    running = Running()
    running.refuse()

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        # Nothing happens in this event loop for as long as this waits.
        return pb.CompleteResponse(id=str(came.wait(5)))

    def ask(address: str) -> list[bytes]:
        with grpc.insecure_channel(address) as channel:
            method: grpc.UnaryStreamMultiCallable[bytes, bytes]
            method = channel.unary_stream(f"/{SERVICE}/Complete")
            call = method(b"", timeout=10)
            call.initial_metadata()
            came.set()
            return list(call)

    async with serving(handle, running) as address:
        answers = await asyncio.to_thread(ask, address)

    assert [pb.CompleteResponse.FromString(each).id for each in answers] == ["True"]


class SlowContext:
    """A call whose headers are on their way until `arrive` is set."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.arrive = asyncio.Event()
        self.sent = 0

    async def send_initial_metadata(self, headers: tuple[tuple[str, str], ...]) -> None:
        self.begun.set()
        await self.arrive.wait()
        self.sent += 1


async def test_end_of_a_call_whose_headers_are_on_their_way() -> None:
    """It waits for them: gRPC would send them twice. So it does where the call is cancelled."""
    loop = asyncio.get_running_loop()
    for cancelled in (False, True):
        context = SlowContext()
        headers = LateHeaders(cast("Context", context), Alarms(loop), loop.time())
        await context.begun.wait()
        settling = loop.create_task(headers.settle())
        # A task is cancelled where it waits, once for each time.
        for _ in range(2 * cancelled):
            await asyncio.sleep(0)
            settling.cancel()
        done, _ = await asyncio.wait({settling}, timeout=0.05)
        context.arrive.set()
        (ended,) = await asyncio.gather(settling, return_exceptions=True)

        assert (done, context.sent) == (set(), 1)
        assert isinstance(ended, asyncio.CancelledError) is cancelled


async def test_headers_that_cannot_be_sent() -> None:
    """Where a call is cancelled whose headers cannot be sent, nothing is left to be told of."""
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))

    class GoneContext(SlowContext):
        async def send_initial_metadata(self, headers: tuple[tuple[str, str], ...]) -> None:
            await super().send_initial_metadata(headers)
            raise grpc.aio.InternalError("gone")

    context = GoneContext()
    headers = LateHeaders(cast("Context", context), Alarms(loop), loop.time())
    await context.begun.wait()
    settling = loop.create_task(headers.settle())
    for _ in range(2):
        await asyncio.sleep(0)
    settling.cancel()
    await asyncio.sleep(0)
    context.arrive.set()
    await asyncio.wait({settling})
    is_cancelled = settling.cancelled()
    # asyncio tells of what a task failed at once nobody knows of the task any more.
    del headers, settling
    gc.collect()

    assert is_cancelled
    assert told == []


async def test_call_that_has_ended() -> None:
    """Whose answer has come at once is sent no headers thereafter."""
    loop = asyncio.get_running_loop()
    context, alarms, later = SlowContext(), Alarms(loop), asyncio.Event()
    await LateHeaders(cast("Context", context), alarms, loop.time()).settle()
    alarms.set(later.set, loop.time() + 0.1)
    await later.wait()

    assert not context.begun.is_set()


async def test_answers_that_come_as_they_are_sent() -> None:
    """Whenever the answer comes, or the failure, it comes whole."""
    loop = asyncio.get_running_loop()
    moments = iter(range(CALLS))

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        number = next(moments)
        moment = loop.create_future()
        loop.call_later(number / CALLS * SPREAD_S, moment.set_result, None)
        await moment
        if number % 2:
            raise CallError(Reason.MODEL_MISSING, "expected a model")
        return ANSWER

    async def ask(channel: grpc.aio.Channel) -> str:
        try:
            answer = await call_unary(channel, SERVICE, "Complete", b"")
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return pb.CompleteResponse.FromString(answer).id

    async with serving(handle, Running()) as address, open_channel(address) as channel:
        ends = Counter(await asyncio.gather(*(ask(channel) for _ in range(CALLS))))

    assert ends == {ANSWER.id: CALLS // 2, "INVALID_ARGUMENT": CALLS // 2}


def retrying(address: str) -> grpc.aio.Channel:
    """Return a channel that tries again whatever gRPC tries again at all."""
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.01s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": [code.name for code in grpc.StatusCode if code.name != "OK"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    return open_channel(address, ("grpc.service_config", config))


FAILURES = [Reason.UPSTREAM_PROTOCOL, Reason.UPSTREAM_UNAVAILABLE, Reason.DEADLINE, Reason.INTERNAL]


@pytest.mark.parametrize("reason", FAILURES)
async def test_failure_at_once(reason: Reason) -> None:
    """What fails before it has headers is not tried again either, whatever a client's policy."""
    asked: list[str] = []

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        asked.append(request.model)
        raise ServerError(reason, "for whatever reason")

    async with serving(handle, Running()) as address, retrying(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await call_unary(channel, SERVICE, "Complete", b"")

    assert asked == [""]


async def test_answer_that_is_too_large() -> None:
    """What gRPC refuses to send is not asked for again."""
    asked: list[str] = []

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        asked.append(request.model)
        return pb.CompleteResponse(id="x" * 20_000)

    async with serving(handle, Running()) as address, retrying(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_unary(channel, SERVICE, "Complete", b"")

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asked == [""]


async def test_callers_who_leave_as_they_are_sent() -> None:
    """A caller may leave at any moment: its call is counted as cancelled, and nothing is left."""
    loop = asyncio.get_running_loop()
    metrics = Metrics(CollectorRegistry(), version="test")
    running = Running()
    calls: list[grpc.aio.UnaryUnaryCall[bytes, bytes]] = []

    async def handle(request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        number = int(request.model)
        loop.call_later(number / CALLS * SPREAD_S, calls[number].cancel)
        await loop.create_future()
        return ANSWER

    async with (
        serving(handle, running, metrics) as address,
        open_channel(address) as channel,
    ):
        for number in range(CALLS):
            request = pb.CompleteRequest(model=str(number))
            calls.append(call_unary(channel, SERVICE, "Complete", request.SerializeToString()))
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(10):
            await running.idle()

    begun = metrics.grpc.started["UNARY", SERVICE, "Complete"].value
    ended = metrics.grpc.handled["UNARY", SERVICE, "Complete", "CANCELLED"].value
    assert begun == ended == CALLS
