"""How many calls run at once, in which order the others follow, and that no place is lost."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from prompt_resolver_server.dispatch.slots import Slots

LONG_S = 60.0


def deadline() -> float:
    return asyncio.get_running_loop().time() + LONG_S


async def settle() -> None:
    """Let everyone go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    """Those who wait follow in the order in which they came, each once a slot is free."""
    slots = Slots(count=2, max_wait_s=LONG_S)
    order: list[int] = []

    async def take(number: int) -> None:
        await slots.take(deadline())
        order.append(number)

    tasks = [asyncio.create_task(take(number)) for number in range(5)]
    await settle()
    assert order == [0, 1]

    for taken in range(3, 6):
        slots.give_back()
        await settle()
        assert order == list(range(taken))
    await asyncio.gather(*tasks)


async def test_wait_is_bounded() -> None:
    """Who does not get a slot in time is told so, and is in nobody's way thereafter."""
    slots = Slots(count=1, max_wait_s=0)
    await slots.take(deadline())

    with pytest.raises(TimeoutError):
        await slots.take(deadline())

    slots.give_back()
    await slots.take(deadline())


async def test_deadline_bounds_the_wait() -> None:
    """Nobody waits past a deadline, however long one may wait."""
    slots = Slots(count=1, max_wait_s=LONG_S)
    await slots.take(deadline())

    with pytest.raises(TimeoutError):
        await slots.take(asyncio.get_running_loop().time())


async def test_who_leaves_gives_the_place_up() -> None:
    """A caller that leaves while it waits, or as its turn comes, takes no slot with it."""
    slots = Slots(count=1, max_wait_s=LONG_S)
    await slots.take(deadline())
    leaver, handed, last = [asyncio.create_task(slots.take(deadline())) for _ in range(3)]
    await settle()

    leaver.cancel()
    slots.give_back()
    # Its turn has come, and it is cancelled before it runs.
    handed.cancel()
    await settle()

    assert leaver.cancelled()
    assert handed.cancelled()
    assert last.done()
    slots.give_back()
    await slots.take(deadline())


@pytest.mark.parametrize("seed", range(5))
async def test_never_more_and_none_lost(seed: int) -> None:
    """However callers come, stay, time out and leave: never more at once, and no slot is lost."""
    random = Random(seed)
    count = random.randint(1, 4)
    slots = Slots(count=count, max_wait_s=0.01)
    running = most = served = 0

    async def call(rounds: int) -> None:
        nonlocal running, most, served
        with suppress(TimeoutError):
            await slots.take(deadline())
            running += 1
            most = max(most, running)
            try:
                for _ in range(rounds):
                    await asyncio.sleep(0)
                served += 1
            finally:
                running -= 1
                slots.give_back()

    tasks = []
    for _ in range(2000):
        tasks.append(asyncio.create_task(call(random.randint(0, 5))))
        if random.random() < 0.5:
            random.choice(tasks[-20:]).cancel()
        if random.random() < 0.3:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (most, running) == (count, 0)
    assert served > 100
    for _ in range(count):
        await slots.take(0)
    with pytest.raises(TimeoutError):
        await slots.take(0)
