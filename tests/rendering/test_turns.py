"""Whoever waits for a worker gets one, and nobody gets all of them."""

import asyncio

import pytest

from prompt_resolver_server.domain.errors import ServerError
from prompt_resolver_server.rendering.offenders import Errand
from prompt_resolver_server.rendering.turns import Turns


class Crowd:
    """Errands that come and go, by their callers; what begins with `!` is a suspect's."""

    def __init__(self, size: int) -> None:
        self.running: list[str] = []
        self.suspects: set[str] = set()
        self.turns = Turns(size, lambda errand: errand.caller in self.suspects)
        self._places: list[tuple[str, bool]] = []

    async def come(self, callers: str) -> list["asyncio.Task[None]"]:
        """Have errands come, each of the caller with its letter."""
        tasks = [asyncio.create_task(self._enter(caller)) for caller in callers]
        await settle()
        return tasks

    async def go(self, caller: str) -> None:
        """End the first errand of a caller that runs."""
        place = next(each for each in self._places if each[0] == caller)
        self._places.remove(place)
        self.turns.leave(place[1])
        await settle()

    async def _enter(self, caller: str) -> None:
        was_suspect = await self.turns.enter(Errand(caller.strip("-"), b"", b""))
        self.running.append(caller)
        self._places.append((caller, was_suspect))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def leave(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_after_the_other() -> None:
    """Callers take turns, however many errands one of them has, and each is served in order."""
    crowd = Crowd(1)
    await crowd.come("aaaabbc")

    for _ in range(6):
        await crowd.go(crowd.running[-1])

    assert "".join(crowd.running) == "aabcaba"
    assert crowd.turns.waiting == 0


async def test_suspects_have_half() -> None:
    """Suspects never have more than half of the places, and others pass them by."""
    crowd = Crowd(4)
    crowd.suspects = {"s"}
    await crowd.come("ssss")
    assert crowd.running == ["s", "s"]

    await crowd.come("abc")
    assert crowd.running == ["s", "s", "a", "b"]
    await crowd.go("a")
    assert crowd.running[4:] == ["c"]
    await crowd.go("b")
    assert crowd.running[5:] == []
    await crowd.go("s")
    assert crowd.running[5:] == ["s"]


async def test_one_place() -> None:
    """Where there is one place alone, suspects may have it, after others who wait as long."""
    crowd = Crowd(1)
    crowd.suspects = {"s"}
    await crowd.come("ssa")
    await crowd.go("s")
    await crowd.go(crowd.running[-1])

    assert crowd.running == ["s", "s", "a"]


async def test_room() -> None:
    """64 may wait, 32 of a caller with a name, and eight suspects; others are told when to come."""
    crowd = Crowd(1)
    crowd.suspects = {"s"}
    tasks = await crowd.come("x" + "a" * 33 + "s" * 9)
    assert crowd.turns.waiting == 40
    tasks += await crowd.come("-" * 25)
    assert crowd.turns.waiting == 64

    turned_away = [each.exception() for each in tasks if each.done() and each.exception()]
    assert len(turned_away) == 3
    for error in turned_away:
        assert isinstance(error, ServerError)
        assert (error.reason, error.retry_after_s) == ("OVERLOADED", 1.0)


async def test_shed() -> None:
    """Who becomes suspect while it waits gives its places back, but for the first of them."""
    crowd = Crowd(1)
    tasks = await crowd.come("x" + "s" * 20 + "a" * 5)

    crowd.suspects = {"s"}
    crowd.turns.shed()
    await settle()

    assert crowd.turns.waiting == 8 + 5
    assert [bool(each.done() and each.exception()) for each in tasks[1:21]] == (
        [False] * 8 + [True] * 12
    )


async def test_shed_who_is_leaving() -> None:
    """Who has left a moment before is not turned away as well."""
    crowd = Crowd(1)
    tasks = await crowd.come("x" + "s" * 20)
    for leaving in tasks[-5:]:
        leaving.cancel()

    crowd.suspects = {"s"}
    crowd.turns.shed()
    await settle()

    assert crowd.turns.waiting == 8
    assert all(each.cancelled() for each in tasks[-5:])


@pytest.mark.parametrize("has_come", [False, True])
async def test_leaving(has_come: bool) -> None:
    """Who leaves while it waits, or at the very moment of its turn, keeps no place from others."""
    crowd = Crowd(1)
    _, leaving, _ = await crowd.come("abc")

    if has_come:
        place = crowd._places.pop()
        crowd.turns.leave(place[1])
        await leave(leaving)
        await settle()
    else:
        await leave(leaving)
        await crowd.go("a")

    assert crowd.running == ["a", "c"]
    assert crowd.turns.waiting == 0


async def test_leaving_when_turned_away() -> None:
    """Who leaves at the very moment in which it is turned away gives no place back twice."""
    crowd = Crowd(1)
    tasks = await crowd.come("x" + "s" * 9)
    crowd.suspects = {"s"}
    crowd.turns.shed()

    await leave(tasks[-1])
    await crowd.come("a")

    assert crowd.running == ["x"]
