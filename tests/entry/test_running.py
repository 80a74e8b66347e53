"""The calls that run, and those who wait for them."""

import asyncio

from prompt_resolver_server.entry.running import Running


async def test_outlasting_calls() -> None:
    """Who waits for the calls that run waits for these alone, and not for those that last."""
    running, ends = Running(), [asyncio.Event() for _ in range(3)]
    first, lasting, later = (asyncio.ensure_future(each.wait()) for each in ends)
    running.add(first)
    running.add(lasting, lasting=True)
    outlasting = asyncio.ensure_future(running.outlast())
    await asyncio.sleep(0)
    running.add(later)
    assert not outlasting.done()

    ends[0].set()
    await asyncio.wait_for(outlasting, 10)
    assert not lasting.done()
    assert not later.done()
    for each in ends:
        each.set()


async def test_nothing_to_outlast() -> None:
    """Where no call runs, nothing is waited for."""
    await asyncio.wait_for(Running().outlast(), 10)


async def test_ends_that_are_held_back() -> None:
    """They come when calls may end again; nobody waits whose caller has little time left."""
    running = Running()
    await asyncio.wait_for(running.hold_back(), 10)
    running.hold()
    patient = [asyncio.ensure_future(running.hold_back(left_s)) for left_s in (None, 60.0)]
    await asyncio.wait_for(running.hold_back(0.5), 10)
    assert not any(each.done() for each in patient)

    running.release()
    await asyncio.wait_for(asyncio.gather(*patient, running.hold_back()), 10)
