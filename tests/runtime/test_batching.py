"""Calls that wait for each other, and those that do not."""

import asyncio
import itertools

import pytest

from prompt_resolver_server.runtime.batching import Batches

MOST = 16
WINDOW = 16
SOON = 64


class Clock:
    """How long the loop's thread has been at work."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def make_batches(clock: Clock) -> Batches:
    return Batches(asyncio.get_running_loop(), cpu_time=clock)


def alone(batches: Batches, clock: Clock) -> int:
    """Return after how many calls, each for itself on a busy loop, one is to wait for others."""
    for calls in itertools.count():
        clock.now_s += 60
        if batches.wanted():
            return calls
    raise AssertionError


async def together(batches: Batches, clock: Clock, calls: int) -> list[int]:
    """Have so many calls come to a busy loop, and return how many were there as each went on."""
    clock.now_s += 60
    going = 0
    seen = []

    async def call() -> None:
        nonlocal going
        await batches.join()
        going += 1
        await batches.part()
        seen.append(going)

    await asyncio.wait_for(asyncio.gather(*(call() for _ in range(calls))), 10)
    return seen


async def at_once(batches: Batches, calls: int) -> int:
    """Have so many calls come, and return how many of them went on before any time had passed."""
    begun = [asyncio.ensure_future(batches.join()) for _ in range(calls)]
    for _ in range(2):
        await asyncio.sleep(0)
    went_on = sum(each.done() for each in begun)
    await asyncio.wait_for(asyncio.gather(*begun), 10)
    return went_on


async def test_idle_loop() -> None:
    """Where the loop has little to do, no call waits."""
    batches = make_batches(Clock())

    assert not any(batches.wanted() for _ in range(10_000))


async def test_busy_loop() -> None:
    """Where it is busy, it is tried; those that come at once go on together, and end together."""
    clock = Clock()
    batches = make_batches(clock)

    assert alone(batches, clock) == SOON - 1
    assert await together(batches, clock, 5) == [5] * 5


async def test_most() -> None:
    """No more wait for each other than sixteen, which do not wait for the time to pass."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)

    assert await at_once(batches, MOST + 1) == MOST


async def test_as_many_as_there_are() -> None:
    """Where fewer came the first time, no time passes until as many go on the next time."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)
    await together(batches, clock, 6)

    assert await at_once(batches, 7) == 6


@pytest.mark.parametrize("calls", [5, MOST])
async def test_worth_it(calls: int) -> None:
    """Calls go on waiting for each other while enough of them come."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)

    for _ in range(3 * WINDOW):
        await together(batches, clock, calls)

    assert batches.wanted()


async def test_loop_that_is_idle_again() -> None:
    """However many come at once, they do not wait for each other once the loop has little to do."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)

    for _ in range(2 * WINDOW):
        await together(batches, clock, 5)
        clock.now_s = 0.0

    assert not batches.wanted()


async def test_not_worth_it() -> None:
    """Where few come they stop, and each time that this shows it is longer until it is tried."""
    clock = Clock()
    batches = make_batches(clock)
    pauses = []

    for _ in range(10):
        pauses.append(alone(batches, clock) + 1)
        for _ in range(WINDOW):
            await together(batches, clock, 2)

    assert pauses == [64, 128, 256, 512, 1024, 2048, 4096, 8192, 8192, 8192]


async def test_long_calls() -> None:
    """Calls that keep the loop for long, and not just once, do not wait for each other."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)

    async def call() -> None:
        await batches.join()
        clock.now_s += 0.001

    await asyncio.wait_for(asyncio.gather(*(call() for _ in range(MOST))), 10)
    assert batches.wanted()
    await asyncio.wait_for(asyncio.gather(*(call() for _ in range(MOST))), 10)
    assert not batches.wanted()


async def test_worth_it_again() -> None:
    """Once it was worth it, it is tried as soon as in the beginning."""
    clock = Clock()
    batches = make_batches(clock)
    pauses = []

    for sizes in ((2,), (2,), (5, 2), (5, 2)):
        pauses.append(alone(batches, clock) + 1)
        for calls in sizes:
            for _ in range(WINDOW):
                await together(batches, clock, calls)

    assert pauses == [64, 128, 256, 128]


async def test_calls_that_are_cancelled() -> None:
    """One that leaves while it waits, or as it ends, is nothing to the others."""
    clock = Clock()
    batches = make_batches(clock)
    alone(batches, clock)

    for wait in (batches.join, batches.part):
        leaving, staying = (asyncio.ensure_future(wait()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait_for(staying, 10)
        assert leaving.cancelled()
