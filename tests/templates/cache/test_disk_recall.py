"""What memory has no room for is served from the disk while its store is down."""

import asyncio
import threading
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.cache import disk, disk_thread
from prompt_resolver_server.templates.cache.state import StateDir
from tests.support.caches import FollowedCache, KeptCopies
from tests.support.copies import Process, World
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


async def test_disk_that_hangs_is_waited_for_once() -> None:
    """A call looks once for a copy, though its store is down and fails again when it is asked."""
    copies = KeptCopies()
    followed = FollowedCache(copies=copies)
    followed.store.says = unavailable()
    for finds, each in enumerate(("a", "b"), start=1):
        with pytest.raises(ResolverError):
            await followed.get(PromptRef(id=each))
        assert copies.finds == finds
    assert followed.fetches == 2


class StepwiseDisk(StateDir):
    """A disk that gives one file for each step it may take, and at once what is `quick`."""

    quick: str | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps = threading.Semaphore(0)

    def read(self, name: str) -> bytes:
        if name != self.quick:
            self.steps.acquire()
        return super().read(name)


async def leave_files(world: World, count: int) -> None:
    """Leave so many copies on the disk, `p0` the oldest, and have the store fail."""
    async with world.process() as process:
        for number in range(count):
            await process.get(f"p{number}")
            await process.until_written(number + 1)
    world.store.says = unavailable()


def name_of(process: Process, prompt_id: str) -> str | None:
    return process.copies._files.name(process.cache.key(PromptRef(id=prompt_id)))


async def test_recalled_before_all_is_read(world: World) -> None:
    """What a call needs is read from a slow disk at once, however much is there to be restored."""
    await leave_files(world, 5)
    slow = StepwiseDisk(world.folder)
    async with world.process(state=slow, within_s=0) as process:
        slow.quick = name_of(process, "p0")
        call = asyncio.ensure_future(process.tell("p0"))
        async with asyncio.timeout(10):
            while not (process.copies._thread._wanted or call.done()):
                await asyncio.to_thread(int)
        slow.steps.release()
        served = await call
        was_restored = process.copies.restored.is_set()
        slow.steps.release(5)

    assert served[1] == "fallback"
    assert not was_restored


async def test_restored_as_it_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a slow disk has given is held a moment later, and not only once all of it is read."""
    monkeypatch.setattr(disk_thread, "_CHUNK_S", 0, raising=False)
    await leave_files(world, 5)
    slow = StepwiseDisk(world.folder)
    slow.steps.release(2)
    async with world.process(state=slow, within_s=0) as process:
        try:
            async with asyncio.timeout(5):
                while process.cache.inventory.entries < 2:
                    await asyncio.to_thread(int)
            assert not process.copies.restored.is_set()
        finally:
            slow.steps.release(5)
