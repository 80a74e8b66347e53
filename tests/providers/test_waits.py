"""Waits that end once their time is up."""

import asyncio
from collections.abc import Awaitable

import pytest

from prompt_resolver_server.providers.waits import Waits


async def end_of(awaited: Awaitable[object]) -> float:
    """Return when a wait ended whose time was up."""
    with pytest.raises(TimeoutError):
        await awaited
    return asyncio.get_running_loop().time()


async def test_each_has_its_own_time() -> None:
    """No wait ends before its time, whichever began first, and all of them end."""
    loop = asyncio.get_running_loop()
    waits, now = Waits(loop), loop.time()
    untils = [now + time for time in (0.3, 0.1, 0.2, 0.0)]

    ends = await asyncio.gather(
        *[end_of(waits.wait(loop.create_future(), until)) for until in untils]
    )

    assert all(until <= end < until + 5 for end, until in zip(ends, untils, strict=True))


async def test_what_comes_in_time() -> None:
    """A wait ends with what it waited for, and a wait that begins thereafter has its time, too."""
    loop = asyncio.get_running_loop()
    waits = Waits(loop)
    for _ in range(3):
        waiter = loop.create_future()
        loop.call_soon(waiter.set_result, None)
        await waits.wait(waiter, loop.time() + 60)
        until = loop.time() + 0.1
        assert await end_of(waits.wait(loop.create_future(), until)) >= until


async def test_who_leaves() -> None:
    """A wait that is cancelled is forgotten, and with the last of them the timer."""
    loop = asyncio.get_running_loop()
    waits = Waits(loop)
    tasks = [
        asyncio.create_task(waits.wait(loop.create_future(), loop.time() + 60)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not waits._ends

    timer = waits._timer
    assert timer is not None
    async with asyncio.timeout(5):
        while waits._timer is timer:
            await end_of(asyncio.wait_for(loop.create_future(), 0.01))
    assert waits._timer is None
