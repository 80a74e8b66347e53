"""A caller that does not read holds its provider back: what it has yet to read is not kept for it.

The service keeps one portion of a stream. The rest is in the buffers of the two connections: 1 to
3 MiB, as measured, and 5 to 9 MiB for a caller whose gRPC widens its window by what it measures,
which is the default of all gRPC clients but ours.
"""

import asyncio
import hashlib
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver.requests import complete_request
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.calls import VARIABLES
from tests.support.flood import Flood
from tests.support.raw import check_health, open_channel
from tests.support.service import RunningService, ServiceProcess, running_process
from tests.support.upstream import Exchange, Upstream, answer_openai
from tests.support.vitals import vitals

if TYPE_CHECKING:
    # Generic in the stubs alone.
    Call = grpc.aio.UnaryStreamCall[pb.CompleteStreamRequest, pb.CompleteStreamResponse]

MIB = 1024 * 1024
STREAM = 48 * MIB
PROBE_OFF = (("grpc.http2.bdp_probe", 0),)
SMALL_WINDOW = (*PROBE_OFF, ("grpc.http2.lookahead_bytes", 16 * 1024))


@dataclass
class Floods:
    """A provider with a flood for each request; `begun` has them as they come."""

    size: int
    begun: asyncio.Queue[Flood] = field(default_factory=asyncio.Queue)

    async def answer(self, exchange: Exchange) -> None:
        flood = Flood(self.size)
        self.begun.put_nowait(flood)
        await flood.answer(exchange)


@asynccontextmanager
async def flooded(
    folder: Path, prompts: Path, upstream: Upstream, floods: Floods
) -> AsyncIterator[tuple[RunningService, ServiceProcess]]:
    """The service as a process, whose provider floods it."""
    upstream.answer = floods.answer
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with running_process(folder, config) as (service, process):
        yield service, process


def start(channel: grpc.aio.Channel) -> "Call":
    stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
    request = complete_request(pb.CompleteStreamRequest, "greet", {"variables": VARIABLES})
    return stub.CompleteStream(request, timeout=100)


async def settled(service: RunningService, accepted: Callable[[], int]) -> int:
    """Return how many bytes were accepted, once a hundred calls have come and gone without more."""
    before, calls = -1, 0
    async with asyncio.timeout(30):
        while calls < 100:
            now = accepted()
            calls = calls + 1 if now == before else 0
            before = now
            await service.client.resolve("greet", variables=VARIABLES)
    return before


@pytest.mark.parametrize(
    ("options", "bound"),
    [(PROBE_OFF, 8 * MIB), (SMALL_WINDOW, 8 * MIB), ((), 32 * MIB)],
    ids=["ours", "small-window", "default"],
)
async def test_caller_that_stalls(
    tmp_path: Path,
    prompts: Path,
    upstream: Upstream,
    options: tuple[tuple[str, int], ...],
    bound: int,
) -> None:
    """While a caller does not read, its provider has to wait; later everything comes, in order."""
    floods = Floods(STREAM)
    async with (
        flooded(tmp_path, prompts, upstream, floods) as (service, process),
        open_channel(service.address, *options) as channel,
    ):
        await service.client.resolve("greet", variables=VARIABLES)
        before_kib = vitals(process.process.pid).memory_kib
        stream = aiter(start(channel))
        events = [await anext(stream)]
        flood = await floods.begun.get()

        accepted = await settled(service, lambda: flood.accepted)
        stalled_kib = vitals(process.process.pid).memory_kib
        text = hashlib.sha256()
        async for event in stream:
            text.update(event.text_delta.encode())
            events = [events[0], event]
        after_kib = vitals(process.process.pid).memory_kib

    assert 0 < accepted <= bound
    assert [each.WhichOneof("event") for each in events] == ["started", "finished"]
    assert text.hexdigest() == flood.digest
    assert flood.accepted >= STREAM
    assert stalled_kib - before_kib < 16 * 1024
    assert after_kib - before_kib < 16 * 1024


@pytest.mark.timed
async def test_others_meanwhile(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Twenty callers that stall cost little memory, disturb nobody, and end by leaving."""
    floods = Floods(STREAM)
    async with (
        flooded(tmp_path, prompts, upstream, floods) as (service, process),
        open_channel(service.address, *PROBE_OFF) as channel,
    ):
        await service.client.resolve("greet", variables=VARIABLES)
        before_kib = vitals(process.process.pid).memory_kib
        calls, stalled = [], []
        for _ in range(20):
            calls.append(start(channel))
            await calls[-1].read()
            stalled.append(await floods.begun.get())
        accepted = await settled(service, lambda: sum(each.accepted for each in stalled))
        stalled_kib = vitals(process.process.pid).memory_kib

        upstream.answer = answer_openai
        answers = await asyncio.gather(
            *(service.client.complete("greet", variables=VARIABLES) for _ in range(50))
        )
        health = await check_health(channel)

        late_s = []
        for call, flood in zip(calls, stalled, strict=True):
            left_at = time.perf_counter()
            call.cancel()
            late_s.append(await asyncio.wait_for(flood.closed, 10) - left_at)
        async with asyncio.timeout(10):
            while await service.metric('prompt_resolver_calls_inflight{call_class="stream"}'):
                await check_health(channel)
        upstream_left = await service.metric('prompt_resolver_upstream_inflight{provider="fake"}')
        log = process.log_file.read_text()

    assert accepted <= 20 * 8 * MIB
    assert stalled_kib - before_kib < 60 * 1024
    assert [each.message.content[0].text for each in answers] == ["Hello"] * 50
    assert health == health_pb2.HealthCheckResponse.SERVING
    assert statistics.median(late_s) < 0.1
    assert max(late_s) < 2
    assert upstream_left == 0
    assert '"error"' not in log
