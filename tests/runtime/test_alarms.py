"""Alarms for what is given up after a while."""

import asyncio
import math

from prompt_resolver_server.runtime.alarms import Alarms


async def test_each_has_its_own_time() -> None:
    """No alarm goes off before its time, whichever was set first, and all of them go off."""
    loop = asyncio.get_running_loop()
    alarms, began = Alarms(loop), loop.time()
    times = [0.3, 0.1, 0.2, 0.0]
    rung = [loop.create_future() for _ in times]

    for future, time in zip(rung, times, strict=True):
        alarms.set(lambda future=future: future.set_result(loop.time()), began + time)  # type: ignore[misc]
    async with asyncio.timeout(5):
        took = [await future - began for future in rung]

    for each, time in zip(took, times, strict=True):
        assert each > time or math.isclose(each, time)


async def test_alarms_that_are_popped() -> None:
    """An alarm that is popped does not go off, nor does it matter that it is popped again."""
    loop = asyncio.get_running_loop()
    alarms = Alarms(loop)
    rung: list[str] = []
    last = loop.create_future()

    def first() -> None:
        rung.append("first")

    alarms.set(first, loop.time())
    alarms.set(lambda: last.set_result(None), loop.time() + 0.1)
    alarms.pop(first, None)
    alarms.pop(first, None)
    async with asyncio.timeout(5):
        await last

    assert rung == []


async def test_alarms_after_a_rest() -> None:
    """Alarms that are set once there are none any more go off as well."""
    loop = asyncio.get_running_loop()
    alarms = Alarms(loop)
    async with asyncio.timeout(5):
        for _ in range(3):
            rung = loop.create_future()
            alarms.set(lambda rung=rung: rung.set_result(None), loop.time())  # type: ignore[misc]
            await rung
            # The look that let it go off has ended, too.
            await asyncio.sleep(0)
            assert alarms._timer is None


async def test_alarms_that_are_closed() -> None:
    """Closed alarms do not go off."""
    loop = asyncio.get_running_loop()
    alarms, others = Alarms(loop), Alarms(loop)
    rung: list[str] = []
    other = loop.create_future()

    alarms.set(lambda: rung.append("closed"), loop.time())
    others.set(lambda: other.set_result(None), loop.time() + 0.1)
    alarms.close()
    async with asyncio.timeout(5):
        await other

    assert rung == []


async def test_alarm_that_fails() -> None:
    """What one alarm fails at keeps no other from going off."""
    loop = asyncio.get_running_loop()
    alarms = Alarms(loop)
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    rung = [loop.create_future() for _ in range(2)]

    def fail() -> None:
        raise ValueError

    alarms.set(fail, loop.time())
    for future in rung:
        alarms.set(lambda future=future: future.set_result(None), loop.time())  # type: ignore[misc]
    async with asyncio.timeout(5):
        await asyncio.gather(*rung)

    assert [type(each) for each in told] == [ValueError]
