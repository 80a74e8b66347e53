"""Answers that arrive together are taken in turns, between which calls begin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from prompt_resolver_server.runtime.turns import Turns

AT_ONCE = 4
ROUNDS_OF_A_CALL = 5


class Scene:
    """Answers that are taken, and calls that begin in between."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = 0.0
        self.turns = Turns(loop, clock=lambda: self.now_s)
        self.taken: list[int] = []
        """How many calls had begun by then, for each answer that was taken."""
        self.order: list[int] = []
        """The answers that were taken."""
        self.begun = 0
        self._loop = loop

    def arrive(self, answers: int) -> list[asyncio.Task[None]]:
        """Have so many answers arrive at once."""
        waiters: list[asyncio.Future[None]] = [self._loop.create_future() for _ in range(answers)]
        tasks = [
            asyncio.ensure_future(self._answer(number, waiter))
            for number, waiter in enumerate(waiters)
        ]
        for waiter in waiters:
            self.turns.take(waiter)
        return tasks

    async def _answer(self, number: int, waiter: asyncio.Future[None]) -> None:
        await waiter
        self.order.append(number)
        self.taken.append(self.begun)

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Have calls let in as gRPC does it: one by one, each in some rounds of the loop."""
        letting_in = asyncio.ensure_future(self._let_in())
        yield
        letting_in.cancel()

    async def _let_in(self) -> None:
        while True:
            for _ in range(ROUNDS_OF_A_CALL):
                await asyncio.sleep(0)
            self.begun += 1
            self.turns.begin()


@pytest.fixture
async def scene() -> Scene:
    """Answers and calls of this event loop."""
    return Scene()


async def test_few_are_taken_at_once(scene: Scene) -> None:
    """Where there are few answers, none waits."""
    tasks = scene.arrive(AT_ONCE)
    # One round for the tasks to begin, and one for what wakes them.
    for _ in range(2):
        await asyncio.sleep(0)

    assert all(task.done() for task in tasks)


async def test_each_turn_lets_calls_begin(scene: Scene) -> None:
    """Of many answers, the next ones are taken when as many calls have begun."""
    async with scene.calling():
        await asyncio.wait_for(asyncio.gather(*scene.arrive(40)), 10)

    turns = [scene.taken[first : first + AT_ONCE] for first in range(0, 40, AT_ONCE)]
    assert all(len(set(turn)) == 1 for turn in turns)
    assert [turn[0] for turn in turns] == [AT_ONCE * number for number in range(10)]


async def test_order(scene: Scene) -> None:
    """Whose answer arrives first is woken first."""
    async with scene.calling():
        await asyncio.wait_for(asyncio.gather(*scene.arrive(10)), 10)

    assert scene.order == [*range(10)]


async def test_nobody_calls(scene: Scene) -> None:
    """Where no call begins, the answers wait for no more than some rounds of the loop."""
    tasks = scene.arrive(3 * AT_ONCE)
    rounds = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        rounds += 1

    assert rounds < 25


async def test_long_rounds(scene: Scene) -> None:
    """Where each round is long with other things, the answers do not wait for calls to begin."""
    tasks = scene.arrive(10 * AT_ONCE)
    rounds = 0
    async with scene.calling():
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            scene.now_s += 0.005
            rounds += 1

    assert rounds < 40


async def test_later_answers_wait_for_earlier_ones(scene: Scene) -> None:
    """An answer that arrives while others wait is not taken before them."""
    early = scene.arrive(2 * AT_ONCE)
    await asyncio.sleep(0)
    late = scene.arrive(1)
    await asyncio.wait_for(asyncio.gather(*late), 10)

    assert all(task.done() for task in early)


async def test_caller_that_left(scene: Scene) -> None:
    """An answer that nobody waits for any more takes nobody's turn."""
    tasks = scene.arrive(3 * AT_ONCE)
    await asyncio.sleep(0)
    for task in tasks[AT_ONCE : 2 * AT_ONCE]:
        task.cancel()
    async with scene.calling():
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    assert scene.taken == [0] * AT_ONCE + [AT_ONCE] * AT_ONCE
    assert scene.order == [*range(AT_ONCE), *range(2 * AT_ONCE, 3 * AT_ONCE)]
