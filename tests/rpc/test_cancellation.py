"""A caller that leaves takes the call to the provider with it."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest

from prompt_resolver.requests import complete_request
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.calls import VARIABLES, failure
from tests.support.service import RunningService
from tests.support.upstream import Upstream, openai_answer, openai_events
from tests.support.waiting import UNARY_HEAD, EndlessProvider, WaitingProvider

LIMIT_S = 0.1
TIMES = 100


@pytest.fixture
async def channel(service: RunningService) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield channel


@pytest.mark.parametrize(
    ("sent", "streamed", "method"),
    [
        ((), False, "Complete"),
        ((UNARY_HEAD, openai_answer()[:20]), False, "Complete"),
        ((), True, "CompleteStream"),
        ((openai_events("Hello")[0],), True, "CompleteStream"),
        (tuple(openai_events("Hello")[:2]), True, "CompleteStream"),
    ],
    ids=["unary", "unary-in-body", "before-headers", "before-text", "in-stream"],
)
async def test_caller_leaves(
    channel: grpc.aio.Channel,
    upstream: Upstream,
    sent: tuple[bytes, ...],
    streamed: bool,
    method: str,
) -> None:
    """Wherever the provider is with its answer, its connection closes at once, every time."""
    provider = WaitingProvider(*sent, streamed=streamed)
    upstream.answer = provider.answer
    stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
    late = []

    for _ in range(TIMES):
        call = start_call(stub, method)
        await provider.waiting.get()
        left_at = time.perf_counter()
        call.cancel()
        closed_after_s = await asyncio.wait_for(provider.closed.get(), 5) - left_at
        if closed_after_s > LIMIT_S:
            late.append(closed_after_s)

    assert late == []


def start_call(stub: "pb_grpc.PromptResolverAsyncStub", method: str) -> "grpc.aio.Call":
    if method == "Complete":
        request = complete_request(pb.CompleteRequest, "greet", {"variables": VARIABLES})
        return stub.Complete(request, timeout=30)
    stream_request = complete_request(pb.CompleteStreamRequest, "greet", {"variables": VARIABLES})
    return stub.CompleteStream(stream_request, timeout=30)


async def test_caller_stops_reading_and_leaves(
    service: RunningService, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that reads slowly holds the provider back, and may leave: that is no fault."""
    provider = EndlessProvider()
    upstream.answer = provider.answer
    stream = service.client.complete_stream("greet", variables=VARIABLES)
    await anext(stream)

    await asyncio.wait_for(provider.blocked.wait(), 30)
    left_at = time.perf_counter()
    await stream.aclose()

    assert await asyncio.wait_for(provider.closed, 5) - left_at < 1
    handled = (
        'grpc_server_handled_total{grpc_code="CANCELLED",grpc_method="CompleteStream",'
        'grpc_service="prompt_resolver.v1.PromptResolver",grpc_type="SERVER_STREAM"}'
    )
    assert await service.metric(handled) == 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_deadline_ends_the_call(service: RunningService, upstream: Upstream) -> None:
    """A deadline that passes ends the call to the provider as well."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer

    error = await failure(service.client.complete("greet", variables=VARIABLES, timeout_s=0.2))
    passed_at = time.perf_counter()

    assert error.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert await asyncio.wait_for(provider.closed.get(), 5) - passed_at < LIMIT_S


async def test_cancelled_calls_are_counted(service: RunningService, upstream: Upstream) -> None:
    """A call that its caller ended counts as cancelled, for gRPC and for the provider."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer
    call = asyncio.ensure_future(service.client.complete("greet", variables=VARIABLES))
    await provider.waiting.get()

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.wait_for(provider.closed.get(), 5)

    upstream_cancelled = (
        'prompt_resolver_upstream_request_duration_seconds_count{model="some-model",'
        'outcome="cancelled",provider="fake"}'
    )
    handled = (
        'grpc_server_handled_total{grpc_code="CANCELLED",grpc_method="Complete",'
        'grpc_service="prompt_resolver.v1.PromptResolver",grpc_type="UNARY"}'
    )
    assert await service.metric(upstream_cancelled) == 1
    assert await service.metric(handled) == 1
    assert await service.metric('prompt_resolver_upstream_inflight{provider="fake"}') == 0
