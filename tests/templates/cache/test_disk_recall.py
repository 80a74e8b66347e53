"""What memory has no room for is served from the disk while its store is down."""

import asyncio
import threading
from pathlib import Path

import pytest

from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.cache import disk
from prompt_resolver_server.templates.cache.state import StateDir
from tests.support.copies import World
from tests.support.stores import absent, make_template, unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


async def test_what_memory_has_no_room_for(world: World) -> None:
    """What is on disk is served while the store is down, though memory has long lost it."""
    ids = [f"p{number}" for number in range(20)]
    async with world.process(memory_entries=5) as process:
        for each in ids:
            await process.get(each)
        process.pass_time(40)
        world.store.says = unavailable()
        for _ in range(2):
            for each in ids[:15]:
                assert await process.tell(each) == ("1", "fallback", 40, False)
        process.pass_time(20)
        assert await process.tell("p3") == ("1", "fallback", 60, True)
        assert process.cache.inventory.entries == 5
        # Nor is a store that is down asked for each of them.
        assert len(world.store.fetches) < len(ids) + 5

        world.store.says = make_template("p", "2")
        process.pass_time(2)
        assert await process.tell("p4") == ("2", "miss", 0, False)

    world.store.says = unavailable()
    async with world.process(memory_entries=5) as process:
        assert {(await process.tell(each))[1] for each in ids} == {"fallback"}


async def test_store_that_is_asked_each_time(world: World) -> None:
    """A copy serves in place of a store that is to be asked with each call once it was asked."""
    async with world.process(memory_entries=1, ttl_s=0) as process:
        await process.get("a")
        await process.get("b")
        world.store.says = unavailable()
        for prompt, fetches in (("a", 3), ("b", 4), ("a", 5)):
            assert await process.tell(prompt) == ("1", "fallback", 0, True)
            assert len(world.store.fetches) == fetches


async def test_recalled_and_taken_back(world: World) -> None:
    """What its store or an operator took back is not recalled, nor is what never was there."""
    disk = CountingDisk(world.folder)
    async with world.process(state=disk, memory_entries=1) as process:
        await process.get("denied")
        await process.get("invalidated")
        await process.get("last")
        world.store.says = absent()
        await asyncio.gather(process.get("denied", refresh=True), return_exceptions=True)
        process.cache.invalidate([PromptRef(id="invalidated")])
        world.store.says = unavailable()
        for each in ("denied", "invalidated", *(f"never-{number}" for number in range(20))):
            process.pass_time(10)
            assert (await process.tell(each))[0] == "STORE_UNAVAILABLE"
        assert disk.reads == 0


class CountingDisk(StateDir):
    """A disk that counts what is read."""

    reads = 0

    def read(self, name: str) -> bytes:
        self.reads += 1
        return super().read(name)


class HangingDisk(StateDir):
    """A disk from which no copy is read before it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may = threading.Event()

    def read(self, name: str) -> bytes:
        self.may.wait()
        return super().read(name)


async def test_recalled_from_a_disk_that_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call waits a moment for a disk that hangs, and then fails as it would without one."""
    monkeypatch.setattr(disk, "_FIND_S", 0.05)
    hanging = HangingDisk(world.folder)
    async with world.process(state=hanging, memory_entries=1) as process:
        await process.get("a")
        await process.until_written(1)
        await process.get("b")
        world.store.says = unavailable()
        assert (await process.tell("a"))[0] == "STORE_UNAVAILABLE"
        hanging.may.set()
        process.pass_time(10)
        assert (await process.tell("a"))[1] == "fallback"
