"""Several processes, services and callers share a folder, and none hurts another."""

import os
from pathlib import Path

import pytest

from prompt_resolver_server.templates.cache import copy_files
from tests.support.copies import World
from tests.support.stores import make_template, unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


async def test_copies_of_another_place(world: World) -> None:
    """A store that is elsewhere now serves nothing of where it was, and takes nothing away there.

    So two services may have a store of the same name in one folder.
    """
    async with world.process(place="there") as process:
        await process.get()
    world.store.says = make_template("p", "2")
    async with world.process(place="here") as process:
        assert process.counted("elsewhere") == 1
        assert await process.tell() == ("2", "miss", 0, False)
    world.store.says = unavailable()

    for place, version in (("there", "1"), ("here", "2")):
        async with world.process(place=place) as process:
            assert await process.tell() == (version, "fallback", 0, False)
    async with world.process(place="nowhere") as process:
        assert (await process.tell())[0] == "STORE_UNAVAILABLE"


async def test_another_process_with_less_room(world: World) -> None:
    """A process removes nothing that another one has written, for which it has less room."""
    ids = [f"p{number}" for number in range(10)]
    async with world.process() as process:
        for each in ids:
            await process.get(each)
    world.max_entries = 3
    async with world.process() as small:
        assert small.counted("surplus") == 7
        world.max_entries = 100
        async with world.process() as process:
            for each in ids:
                await process.get(each, refresh=True)
        for count, each in enumerate(("p0", "p1", "a", "b", "c", "d", "e"), start=1):
            await small.get(each, refresh=True)
            await small.until_written(count)
    # Its own ones it removes.
    assert len(world.files) == len(ids) + 3
    world.store.says = unavailable()

    async with world.process() as process:
        assert {(await process.tell(each))[1] for each in ids} == {"fallback"}


async def test_secret_that_was_removed(world: World) -> None:
    """Copies by another secret are passed over, and removed once nobody has written them for long.

    Whoever has that secret still keeps its own.
    """
    async with world.process() as process:
        await process.get()
        (world.folder / "secret").unlink()
        async with world.process() as other:
            await other.get()
    assert len(world.files) == 2

    async with world.process() as process:
        assert (process.counted("corrupt"), process.counted("restored")) == (1, 1)
    assert len(world.files) == 2
    for file in world.files:
        os.utime(file, (0, 0))
    async with world.process() as process:
        assert (process.counted("corrupt"), process.counted("restored")) == (1, 1)
    assert len(world.files) == 1


async def test_folder_that_too_many_have_filled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever left them, there are never more files than so many: what was written first goes."""
    monkeypatch.setattr(copy_files, "_MOST_FILES", 7)
    for place in ("a", "b", "c"):
        async with world.process(place=place) as process:
            for number in range(5):
                await process.get(f"p{number}")
    world.store.says = unavailable()
    world.max_entries = 5

    async with world.process(place="c") as process:
        assert process.counted("restored") == 5
    assert len(world.files) == 7


async def test_folder_that_others_fill_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two processes write in turns is bounded while they run, though it is neither's own."""
    monkeypatch.setattr(copy_files, "_MOST_FILES", 8)
    world.max_entries = 5
    async with world.process() as one, world.process() as other:
        for count in range(1, 41):
            for process in (one, other) if count % 2 else (other, one):
                await process.get(f"p{count}")
                await process.until_written(count)
            assert len(world.files) <= 10
    world.store.says = unavailable()

    async with world.process() as process:
        assert (await process.tell("p40"))[1] == "fallback"


async def test_callers_copies_go_first(world: World) -> None:
    """However many callers bring keys of their own, the service's own copies stay on the disk."""
    world.max_entries = 10
    async with world.process(memory_entries=10) as process:
        for number in range(8):
            await process.get(f"own-{number}")
            await process.until_written(number + 1)
        for number in range(20):
            await process.get("p", caller_key=f"key-{number}")
            await process.until_written(8 + number + 1)
        assert process.cache.inventory.entries == 10
    assert len(world.files) == 10
    world.store.says = unavailable()

    async with world.process(memory_entries=10) as process:
        for number in range(8):
            assert (await process.tell(f"own-{number}"))[1] == "fallback"
        assert (await process.tell("p", caller_key="key-19"))[1] == "fallback"
        assert (await process.tell("p", caller_key="key-0"))[0] == "STORE_UNAVAILABLE"
    world.max_entries = 4
    async with world.process() as process:
        assert (await process.tell("own-7"))[1] == "fallback"
        assert process.counted("surplus") == 6
