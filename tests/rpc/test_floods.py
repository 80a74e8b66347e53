"""Whoever floods the gRPC door is served with little, and takes nothing from the other callers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TypeAlias

import pytest

from prompt_resolver.requests import complete_request
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES
from tests.support.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PRIORITY,
    RESET,
    SETTINGS,
    WINDOW,
    begin,
    cancel,
    connected,
    frame,
    headers,
)
from tests.support.scene import faults_in
from tests.support.service import RunningService, running_process
from tests.support.upstream import Exchange, Upstream, answer_openai
from tests.support.vitals import Vitals, vitals

MIB_KIB = 1024
METHODS = "/prompt_resolver.v1.PromptResolver/"
COMPLETE = f"{METHODS}Complete"
REQUEST = complete_request(
    pb.CompleteRequest, "greet", {"variables": VARIABLES}
).SerializeToString()
CALLS = 100_000
FRAMES = 2_000_000
AT_ONCE = 100

Flood: TypeAlias = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Target:
    """The service as a process, and what it used before anything was done to it."""

    service: RunningService
    pid: int
    before: Vitals

    async def serves_others_during(self, flood: Awaitable[None]) -> int:
        """Return how often another caller was served, each time that it asked, meanwhile."""
        flooding, served = asyncio.ensure_future(flood), 0
        while not flooding.done():
            await self.service.client.resolve("greet", variables=VARIABLES)
            served += 1
        flooding.result()
        return served

    async def settled(self) -> Vitals:
        """Return what it uses once no call runs, and no more files are open than before."""
        async with asyncio.timeout(30):
            while await self._is_busy():
                pass
        return vitals(self.pid)

    async def _is_busy(self) -> bool:
        gauges = ("prompt_resolver_calls_inflight{", "prompt_resolver_upstream_inflight{")
        page = await self.service.metrics()
        samples = [line for line in page.splitlines() if line.startswith(gauges)]
        assert len(samples) >= 4
        # One file more is the connection to read the metrics.
        return vitals(self.pid).files > self.before.files + 1 or not all(
            line.endswith(" 0.0") for line in samples
        )


@asynccontextmanager
async def targeted(folder: Path, prompts: Path, upstream: Upstream) -> AsyncIterator[Target]:
    """Run the service, and see at the end that it still does what it is there for."""
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with running_process(folder, config) as (service, process):
        for _ in range(100):
            await service.client.resolve("greet", variables=VARIABLES)
        pid = process.process.pid
        yield Target(service, pid, vitals(pid))
        upstream.answer = answer_openai
        answer = await service.client.complete("greet", variables=VARIABLES)
        code, log = await asyncio.to_thread(process.stop)

    assert answer.message.content[0].text == "Hello"
    assert (code, faults_in(log)) == (0, [])


def streams(count: int, first: int = 1) -> range:
    """Return the numbers of so many streams of a client."""
    return range(first, first + 2 * count, 2)


def resets(path: str) -> Iterator[bytes]:
    """Begin calls, and leave each at once."""
    for start in range(1, 2 * CALLS, 2 * AT_ONCE):
        yield b"".join(
            begin(number, path, REQUEST) + cancel(number) for number in streams(AT_ONCE, start)
        )


@pytest.mark.parametrize("path", [COMPLETE, f"{METHODS}CompleteStream", "/nobody.Knows/It"])
async def test_rapid_reset(tmp_path: Path, prompts: Path, upstream: Upstream, path: str) -> None:
    """Calls that are begun and left, as fast as it goes, leave nothing behind."""

    async def hold(exchange: Exchange) -> None:
        await exchange.wait_closed()

    upstream.answer = hold
    async with targeted(tmp_path, prompts, upstream) as target:
        async with connected(target.service.address) as peer:
            served = await target.serves_others_during(peer.pour(resets(path)))
        after = await target.settled()

    assert served > 0
    assert after.threads <= target.before.threads + 8
    # Of those that are left, no more wait for their end at once than may run.
    assert after.peak_kib - target.before.memory_kib < 512 * MIB_KIB


async def test_tasks(service: RunningService) -> None:
    """No task of a call that was left at once is there any more, once it has been noticed."""
    await service.client.resolve("greet", variables=VARIABLES)
    before = len(asyncio.all_tasks())
    async with connected(service.address) as peer:
        await peer.pour(resets(COMPLETE))
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > before:
            await service.client.resolve("greet", variables=VARIABLES)


async def test_begun_completions(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Each completion that is reset once it is with the provider closes its call there."""
    arrived, closed = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def hold(exchange: Exchange) -> None:
        arrived.release()
        await exchange.wait_closed()
        closed.release()

    upstream.answer = hold
    async with (
        targeted(tmp_path, prompts, upstream) as target,
        connected(target.service.address) as peer,
    ):
        for wave in range(10):
            numbers = streams(AT_ONCE, 1 + 2 * AT_ONCE * wave)
            await peer.pour(begin(number, COMPLETE, REQUEST) for number in numbers)
            async with asyncio.timeout(30):
                for _ in numbers:
                    await arrived.acquire()
                await peer.pour([b"".join(map(cancel, numbers))])
                for _ in numbers:
                    await closed.acquire()
        peer.leave()
        await target.settled()


@pytest.mark.parametrize(
    "one",
    [
        frame(SETTINGS),
        frame(WINDOW, b"\x00\x00\x00\x01"),
        frame(PRIORITY, bytes(5), stream=1),
        frame(RESET, bytes(4), stream=1),
        frame(0xEE),
    ],
    ids=["settings", "window", "priority", "reset", "unknown"],
)
async def test_frames_that_ask_for_nothing(
    tmp_path: Path, prompts: Path, upstream: Upstream, one: bytes
) -> None:
    """Frames that say nothing cost next to nothing, however many there are."""
    async with targeted(tmp_path, prompts, upstream) as target:
        async with connected(target.service.address) as peer:
            # A stream that is there, for those that name one.
            await peer.pour([begin(1, COMPLETE, REQUEST)])
            flood = peer.pour(repeat(one * 1000, FRAMES // 1000))
            served = await target.serves_others_during(flood)
        after = await target.settled()

    assert served > 0
    assert after.cpu_s - target.before.cpu_s < 10
    assert after.peak_kib - target.before.memory_kib < 128 * MIB_KIB


async def test_pings(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Pings without end are answered, which costs less than to be annoyed by them."""
    one = frame(PING, bytes(8))
    async with targeted(tmp_path, prompts, upstream) as target:
        async with connected(target.service.address) as peer:
            async with asyncio.timeout(60):
                served = await target.serves_others_during(
                    peer.pour(repeat(one * 1000, FRAMES // 1000))
                )
                await peer.wait_received(FRAMES * len(one))
            answered = peer.received
        after = await target.settled()

    assert served > 0
    assert answered >= FRAMES * len(one)
    assert after.cpu_s - target.before.cpu_s < 10
    assert after.peak_kib - target.before.memory_kib < 128 * MIB_KIB


def empty_data() -> Iterable[bytes]:
    yield frame(HEADERS, headers(COMPLETE), END_HEADERS, stream=1)
    yield from repeat(frame(DATA, stream=1) * 100, FRAMES // 100)


def empty_headers() -> Iterable[bytes]:
    yield frame(HEADERS, stream=1)
    yield from repeat(frame(CONTINUATION, stream=1) * 100, FRAMES // 100)


@pytest.mark.parametrize("flood", [empty_data, empty_headers])
async def test_empty_frames(
    tmp_path: Path, prompts: Path, upstream: Upstream, flood: Flood
) -> None:
    """A request that goes on and on without saying anything closes its connection."""
    async with targeted(tmp_path, prompts, upstream) as target:
        async with connected(target.service.address) as peer, asyncio.timeout(30):
            served = await target.serves_others_during(peer.pour(flood()))
            await peer.wait_closed()
        await target.settled()

    assert served > 0


def header_without_end() -> Iterable[bytes]:
    """Return headers that go on in frame after frame."""
    field = b"\x00\x01x\x64" + b"a" * 100
    yield frame(HEADERS, headers(COMPLETE), stream=1)
    yield from repeat(frame(CONTINUATION, field * 100, stream=1), 10_000)


def header_bombs() -> Iterable[bytes]:
    """Return headers each byte of which stands for 3000."""
    length, value = b"\x7f\xb9\x16", b"a" * 3000
    remembered = b"\x40\x01x" + length + value
    for number in streams(1000):
        block = headers(COMPLETE) + remembered + b"\xbe" * 10_000
        yield frame(HEADERS, block, END_HEADERS, stream=number)


@pytest.mark.parametrize("flood", [header_without_end, header_bombs])
async def test_headers_without_measure(
    tmp_path: Path, prompts: Path, upstream: Upstream, flood: Flood
) -> None:
    """Headers beyond the limit that was agreed upon are read by nobody, and kept nowhere."""
    async with targeted(tmp_path, prompts, upstream) as target:
        async with connected(target.service.address) as peer:
            served = await target.serves_others_during(peer.pour(flood()))
        after = await target.settled()

    assert served > 0
    assert after.peak_kib - target.before.memory_kib < 256 * MIB_KIB
