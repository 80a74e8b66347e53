"""A caller that leaves takes the call to the provider with it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
import pytest

from prompt_resolver.requests import complete_request
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from prompt_resolver_server.rpc.server import SERVICE
from tests.support.calls import VARIABLES, failure
from tests.support.raw import call_stream, open_channel
from tests.support.service import RunningService, running_service
from tests.support.unreachable import (
    SilentServer,
    listener_with_full_queue,
    silent_server,
    sockets_that_connect,
    until,
)
from tests.support.upstream import Upstream, openai_answer, openai_events
from tests.support.waiting import UNARY_HEAD, EndlessProvider, WaitingProvider

pytestmark = pytest.mark.timed

LIMIT_S = 0.1
BEGUN = openai_events("Hello")[:1]
SAYING = openai_events("Hello")[:2]


class Phase(Protocol):
    """A point of a call at which the caller leaves."""

    async def reach(self) -> None:
        """Wait until the call is there."""
        ...

    async def leave(self) -> float:
        """Wait until nothing of the call is left, and return when that was."""
        ...


class Answering:
    """The provider has sent something, and will send no more."""

    def __init__(self, upstream: Upstream, *sent: bytes, streamed: bool) -> None:
        self._provider = WaitingProvider(*sent, streamed=streamed)
        upstream.answer = self._provider.answer

    async def reach(self) -> None:
        await self._provider.waiting.get()

    async def leave(self) -> float:
        return await self._provider.closed.get()


class Connecting:
    """The provider's address does not answer."""

    def __init__(self) -> None:
        self._before = sockets_that_connect()

    async def reach(self) -> None:
        await until(lambda: sockets_that_connect() > self._before)

    async def leave(self) -> float:
        await until(lambda: sockets_that_connect() == self._before)
        return time.perf_counter()


class Handshaking:
    """The provider has taken the connection, and says nothing of a secure one."""

    def __init__(self, server: SilentServer) -> None:
        self._server = server

    async def reach(self) -> None:
        await self._server.waiting.get()

    async def leave(self) -> float:
        return await self._server.closed.get()


@dataclass
class Scene:
    """A service, and a provider of it for each kind of phase."""

    service: RunningService
    upstream: Upstream
    silent: SilentServer
    stub: "pb_grpc.PromptResolverAsyncStub"


@pytest.fixture
async def scene(tmp_path: Path, prompts: Path, upstream: Upstream) -> AsyncIterator[Scene]:
    async with silent_server() as silent:
        with listener_with_full_queue() as port:
            config = f"""
stores:
  local: {{type: directory, path: {prompts}}}
providers:
  answering: {{dialect: openai, base_url: '{upstream.url}'}}
  whole: {{dialect: openai, base_url: '{upstream.url}', stream_completions: false}}
  connecting: {{dialect: openai, base_url: 'http://127.0.0.1:{port}', connect_timeout_s: 60}}
  handshaking: {{dialect: openai, base_url: '{silent.url}', connect_timeout_s: 60}}
"""
            async with (
                running_service(tmp_path, config) as service,
                open_channel(service.address) as channel,
            ):
                stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
                yield Scene(service, upstream, silent, stub)


PHASES: dict[str, tuple[str, Callable[[Scene], Phase]]] = {
    "connecting": ("connecting", lambda _: Connecting()),
    "handshaking": ("handshaking", lambda scene: Handshaking(scene.silent)),
    "before-headers": ("answering", lambda scene: Answering(scene.upstream, streamed=True)),
    "before-events": ("answering", lambda scene: Answering(scene.upstream, b":\n", streamed=True)),
    "before-text": ("answering", lambda scene: Answering(scene.upstream, *BEGUN, streamed=True)),
    "in-stream": ("answering", lambda scene: Answering(scene.upstream, *SAYING, streamed=True)),
    "before-body": ("whole", lambda scene: Answering(scene.upstream, streamed=False)),
    "in-body": (
        "whole",
        lambda scene: Answering(scene.upstream, UNARY_HEAD, openai_answer()[:20], streamed=False),
    ),
}
"""Points at which callers leave: the provider that is called, and what is to be seen of it."""


@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("Complete", name) for name in PHASES),
        *(("CompleteStream", name) for name in PHASES if PHASES[name][0] != "whole"),
    ],
)
async def test_caller_leaves(scene: Scene, cancels: int, method: str, name: str) -> None:
    """Wherever a call is, all of it ends at once, every time: nothing is left of it."""
    provider, make_phase = PHASES[name]
    phase = make_phase(scene)
    # What is made once, is made by the first.
    await leave_call(scene, phase, method, provider)
    tasks, files = len(asyncio.all_tasks()), open_files()

    took = sorted([await leave_call(scene, phase, method, provider) for _ in range(cancels)])

    print(f"p99 {took[len(took) * 99 // 100] * 1000:.1f} ms, at most {took[-1] * 1000:.1f} ms")
    assert [each for each in took if each > LIMIT_S] == []
    await until(lambda: len(asyncio.all_tasks()) <= tasks and open_files() <= files)
    inflight = f'prompt_resolver_upstream_inflight{{provider="{provider}"}}'
    assert await scene.service.metric(inflight) == 0


async def leave_call(scene: Scene, phase: Phase, method: str, provider: str) -> float:
    """Make a call, leave it at a point, and return how long it took to end."""
    call = start_call(scene.stub, method, f"{provider}/m")
    async with asyncio.timeout(10):
        await phase.reach()
        left_at = time.perf_counter()
        call.cancel()
        return await phase.leave() - left_at


def start_call(stub: "pb_grpc.PromptResolverAsyncStub", method: str, model: str) -> "grpc.aio.Call":
    if method == "Complete":
        request = complete_request(
            pb.CompleteRequest, "greet", {"variables": VARIABLES, "model": model}
        )
        return stub.Complete(request, timeout=30)
    stream_request = complete_request(
        pb.CompleteStreamRequest, "greet", {"variables": VARIABLES, "model": model}
    )
    return stub.CompleteStream(stream_request, timeout=30)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


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
    assert await service.metric(attempts("cancelled", "caller")) == 1
    assert await service.metric(handled) == 1
    assert await service.metric('prompt_resolver_upstream_inflight{provider="fake"}') == 0


def attempts(outcome: str, reason: str) -> str:
    labels = f'model="some-model",outcome="{outcome}",provider="fake",reason="{reason}"'
    return f"prompt_resolver_upstream_attempts_total{{{labels}}}"


@pytest.mark.parametrize("left_s", [0.3, 1.2])
async def test_calls_whose_deadline_passes_are_counted(
    service: RunningService, upstream: Upstream, left_s: float
) -> None:
    """A call that its client ends as its deadline passes counts as that, as does its attempt."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer
    calls = 5
    ends = await asyncio.gather(
        *(
            failure(service.client.complete("greet", variables=VARIABLES, timeout_s=left_s))
            for _ in range(calls)
        )
    )
    for _ in range(calls):
        await asyncio.wait_for(provider.closed.get(), 5)

    handled = (
        'grpc_server_handled_total{grpc_code="DEADLINE_EXCEEDED",grpc_method="Complete",'
        'grpc_service="prompt_resolver.v1.PromptResolver",grpc_type="UNARY"}'
    )
    # Either the one's clock or the other's is first.
    ended = [await service.metric(attempts(each, "deadline")) for each in ("cancelled", "failed")]
    assert {each.code for each in ends} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert await service.metric(handled) == calls
    assert sum(ended) == calls


@pytest.mark.parametrize("method", ["Complete", "CompleteStream"])
async def test_headers_come_first(service: RunningService, upstream: Upstream, method: str) -> None:
    """Headers come before a provider answers: from then on, gRPC's clients call no second time.

    Where something between cancels the call, they would for one that they take as not begun.
    """
    provider = WaitingProvider(streamed=True)
    upstream.answer = provider.answer
    request = pb.CompleteRequest(prompt=pb.PromptRef(id="greet"))
    request.variables.update(VARIABLES)
    async with open_channel(service.address) as channel:
        # As a stream, also where it is none: gRPC's Python tells of headers only then.
        call = call_stream(channel, SERVICE, method, request.SerializeToString())
        await provider.waiting.get()
        await asyncio.wait_for(call.initial_metadata(), 5)
        call.cancel()
