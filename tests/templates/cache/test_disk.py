"""What a store has confirmed outlives the process: whole, true, and its caller's alone."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prompt_resolver_server.templates.cache.entries import Key
from prompt_resolver_server.templates.cache.envelope import Copy, digest_of, name_of, seal
from prompt_resolver_server.templates.cache.state import (
    FullDiskError,
    StateDir,
    StateError,
    StateFile,
)
from tests.support.copies import TTL_S, World
from tests.support.small_disk import fill_disk, small_disk
from tests.support.stores import absent, forbidden, make_template, unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


async def test_store_that_is_down_at_the_start(world: World) -> None:
    """A copy is served as a fallback with its true age, stale once its time to live is over."""
    async with world.process() as process:
        await process.get()
    world.store.says = unavailable()
    world.wall.now += 40

    async with world.process() as process:
        assert await process.tell() == ("1", "fallback", 40, False)
        await process.settle()
        assert await process.tell() == ("1", "fallback", 40, False)
        process.pass_time(20)
        assert await process.tell() == ("1", "fallback", 60, True)
        assert await process.tell("other") == ("STORE_UNAVAILABLE", "", 0, False)
        assert process.counted("restored") == 1


async def test_store_that_is_there_at_the_start(world: World) -> None:
    """The store is asked at once, however young the copy is, and what it says counts from then."""
    async with world.process() as process:
        await process.get()
    world.store.says = make_template("p", "2")

    async with world.process() as process:
        assert await process.tell() == ("1", "fallback", 0, False)
        await process.settle()
        assert await process.tell() == ("2", "hit", 0, False)
    world.wall.now += 5

    async with world.process() as process:
        assert await process.tell() == ("2", "fallback", 5, False)


async def test_confirmation_is_kept(world: World) -> None:
    """That a store has confirmed a copy is written, so that ages stay true over restarts."""
    async with world.process() as process:
        served = await process.get()
        process.pass_time(100)
        world.store.says = served.template
        await process.get(refresh=True)
    world.store.says = unavailable()
    world.wall.now += 3

    async with world.process() as process:
        assert (await process.tell())[1:3] == ("fallback", 3)


async def test_confirmations_are_written_seldom(world: World) -> None:
    """Confirmations that follow each other cost one write a second, and an edit is written."""
    async with world.process() as process:
        for _ in range(10):
            await process.get(refresh=True)
            world.store.says = (await process.get()).template
            process.pass_time(0.09)
    # The edit of the first call, and then what the thread had no time to pass over.
    assert 1 <= process.counted("written") <= 2

    async with world.process() as process:
        await process.get(refresh=True)
        world.store.says = make_template("p", "2")
        await process.get(refresh=True)
    async with world.process() as process:
        assert (await process.tell())[0] == "2"


@pytest.mark.parametrize("hours", [-1, 1, -87_600, 87_600])
async def test_wall_clock_that_jumps(world: World, hours: int) -> None:
    """A clock that went back gives the age 0 and nothing fresh; one that went ahead, an age."""
    async with world.process() as process:
        await process.get()
    world.wall.now += hours * 3600
    fetches = len(world.store.fetches)

    async with world.process() as process:
        assert await process.tell() == ("1", "fallback", max(0, hours) * 3600, False)
        await process.settle()
        assert len(world.store.fetches) == fetches + 1
        assert await process.tell() == ("1", "hit", 0, False)
        # While it runs, the clock on the wall means nothing.
        world.wall.now += hours * 3600
        process.clock.now += TTL_S - 1
        assert await process.tell() == ("1", "hit", TTL_S - 1, False)


@pytest.mark.parametrize("refusal", [absent(), forbidden()])
async def test_what_the_store_takes_back(world: World, refusal: Exception) -> None:
    """A prompt that was removed, or whose key was revoked, is gone from the disk as well."""
    async with world.process() as process:
        await process.get()
        assert await process.tell("p", caller_key="key-of-caller")
    assert len(world.files) == 2
    world.store.says = refusal

    async with world.process() as process:
        await process.get()
        await process.settle()
        assert (await process.tell())[0] in ("PROMPT_NOT_FOUND", "STORE_AUTH")
    assert len(world.files) == 1
    assert process.counted("removed") >= 1


async def test_only_what_was_there_is_removed(world: World) -> None:
    """A prompt that its store denies again and again is removed, and counted, once."""
    async with world.process() as process:

        async def ask() -> None:
            process.pass_time(2 * TTL_S)
            await process.tell()
            await process.settle()
            await asyncio.sleep(0)

        while process.counted("written") < 1:
            await ask()
        world.store.says = absent()
        while process.counted("removed") < 1:
            await ask()
        for _ in range(10):
            await ask()

    assert process.counted("removed") == 1


async def test_callers_have_copies_of_their_own(world: World) -> None:
    """What a caller's key opened serves that key after a restart, and no other, nor none."""
    async with world.process() as process:
        await process.get(caller_key="key-of-a")
    text = b"".join(file.read_bytes() for file in world.folder.rglob("*") if file.is_file())
    assert b"key-of-a" not in text
    world.store.says = unavailable()

    async with world.process() as process:
        assert (await process.tell(caller_key="key-of-a"))[1] == "fallback"
        assert (await process.tell(caller_key="key-of-b"))[0] == "STORE_UNAVAILABLE"
        assert (await process.tell())[0] == "STORE_UNAVAILABLE"


async def test_keys_are_apart(world: World) -> None:
    """An id, a version and their absence are told apart on disk, too."""
    refs = [("p", None), ("p", "1"), ("p", ""), ("p1", None)]
    async with world.process() as process:
        for number, (prompt_id, version) in enumerate(refs):
            world.store.says = make_template("p", str(number))
            await process.get(prompt_id, version=version)
    world.store.says = unavailable()

    async with world.process() as process:
        for number, (prompt_id, version) in enumerate(refs):
            served = await process.get(prompt_id, version=version)
            assert served.template.version == str(number)


async def test_stores_at_hand_have_no_copies(world: World) -> None:
    """What a store has that is no service is not copied: it is there when we are."""
    async with world.process() as process:
        await process.get(store="local")
    assert world.files == []


async def test_cut_at_every_byte(world: World) -> None:
    """A file that was cut anywhere is passed over and counted, and the others are served."""
    async with world.process() as process:
        await process.get("whole")
    (whole,) = world.files
    async with world.process() as process:
        await process.get("cut")
    (cut,) = set(world.files) - {whole}
    data = cut.read_bytes()
    world.store.says = unavailable()

    for length in range(len(data)):
        cut.write_bytes(data[:length])
        async with world.process() as process:
            assert process.counted("corrupt") == 1, length
            assert process.counted("restored") == 1
            assert (await process.tell("cut"))[0] == "STORE_UNAVAILABLE"
            assert (await process.tell("whole"))[1] == "fallback"
    world.store.says = make_template("p", "2")
    async with world.process() as process:
        await process.get("cut")
    assert len(cut.read_bytes()) == len(data)


async def test_changed_at_every_byte(world: World) -> None:
    """A file with any byte changed is passed over."""
    async with world.process() as process:
        await process.get()
    (file,) = world.files
    data = file.read_bytes()
    world.store.says = unavailable()

    for index in range(len(data)):
        file.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        async with world.process() as process:
            assert process.counted("restored") == 0, index
            assert process.counted("corrupt") + process.counted("foreign_format") == 1
        file.unlink(missing_ok=True)


async def test_another_ones_file(world: World) -> None:
    """A file in another's place, a link and a folder are passed over and counted."""
    async with world.process() as process:
        await process.get("mine", caller_key="key-of-a")
        await process.get("theirs", caller_key="key-of-b")
    first, second = world.files
    second.write_bytes(first.read_bytes())
    link, folder = first.with_name("0" * 64), first.with_name("1" * 64)
    first.rename(world.folder / "elsewhere")
    link.symlink_to(world.folder / "elsewhere")
    folder.mkdir()

    async with world.process() as process:
        assert process.counted("corrupt") == 1
        assert process.counted("not_a_file") == 2
        assert process.counted("restored") == 0
    assert not link.is_symlink()
    assert (world.folder / "elsewhere").exists()


async def test_forged_file(world: World) -> None:
    """A file that was made without the secret is passed over."""
    async with world.process() as process:
        await process.get()
    key, place = Key("told", "forged", None, None, b""), digest_of("")
    forged = seal(Copy(key, place, make_template("forged", "1"), 0.0), b"guessed")
    name = name_of(key, place, StateDir(world.folder).secret)
    world.files[0].with_name(name).write_bytes(forged)

    async with world.process() as process:
        assert process.counted("corrupt") == 1
        assert process.counted("restored") == 1


async def test_copies_that_mean_nothing_to_this_process(world: World) -> None:
    """Copies of another release, and of stores that are not configured, are left for those."""
    async with world.process() as process:
        await process.get()
    (file,) = world.files
    others = [file.with_name("e" * 64), file.with_name("f" * 64)]
    for version, other in zip((1, 3), others, strict=True):
        other.write_bytes(b"prompt-resolver template %d\nsomething else" % version)

    async with world.process(store_name="renamed") as process:
        assert (process.counted("foreign_format"), process.counted("unknown_store")) == (2, 1)
        assert process.counted("restored") == 0
    assert all(each.exists() for each in (file, *others))


async def test_what_a_crash_left(world: World) -> None:
    """What was half written when a process died is removed once nobody can be writing it."""
    async with world.process() as process:
        await process.get()
    old, new = (world.files[0].with_name(name) for name in (".1-dead", ".2-alive"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)

    async with world.process() as process:
        assert process.counted("restored") == 1
    assert not old.exists()
    assert new.exists()


async def test_bounded(world: World) -> None:
    """There are never more files, nor more bytes of them, than may be: the oldest go."""
    world.max_entries = 3
    async with world.process() as process:
        for number in range(5):
            await process.get(f"p{number}")
    assert len(world.files) == 3
    size = world.files[0].stat().st_size
    world.max_entries, world.max_bytes = 100, size * 2 + 10

    surplus = min(world.files, key=lambda file: file.stat().st_mtime)
    os.utime(surplus, (0, 0))
    async with world.process() as process:
        assert process.counted("surplus") == 1
        assert len(world.files) == 2
        for number in range(5, 8):
            await process.get(f"p{number}")
    assert len(world.files) == 2
    world.store.says = unavailable()
    async with world.process() as process:
        assert (await process.tell("p7"))[1] == "fallback"


class FailingDisk(StateDir):
    """A disk that does not take the first files, with an error of this number."""

    failures = 5
    number = errno.EIO

    def write(self, name: str, data: bytes) -> float:
        if self.failures:
            self.failures -= 1
            raise OSError(self.number, os.strerror(self.number))
        return super().write(name, data)


async def test_failures_begin_at_nothing(world: World) -> None:
    """The count of failures is there before the first, which is seen as an increase then."""
    async with world.process() as process:
        name = "prompt_resolver_state_entries_total"
        labels = {"outcome": "failed"}

        assert process.metrics.registry.get_sample_value(name, labels) == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
async def test_disk_that_takes_nothing(
    world: World, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that fails changes nothing for callers: it is counted, logged once, tried again."""
    disk = FailingDisk(world.folder)
    disk.number = number
    async with world.process(state=disk) as process:
        for prompt in range(6):
            assert (await process.tell(f"p{prompt}"))[1] == "miss"

    assert (process.counted("failed"), process.counted("written")) == (5, 1)
    faults = [each for each in caplog.records if "on disk" in each.message]
    assert [each.levelname for each in faults] == ["ERROR"]
    assert len(world.files) == 1


class SlowDisk(StateDir):
    """A disk that says what is there once it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may = threading.Event()

    def scan(self) -> Iterator[StateFile]:
        self.may.wait()
        return super().scan()


async def test_disk_that_is_slow(world: World) -> None:
    """A disk that takes its time is not waited for, and takes the place of nothing newer."""
    async with world.process() as process:
        await process.get("a")
        await process.get("b")
    world.store.says = make_template("p", "2")
    disk = SlowDisk(world.folder)

    async with world.process(state=disk, within_s=0) as process:
        assert await process.tell("a") == ("2", "miss", 0, False)
        disk.may.set()
        async with asyncio.timeout(10):
            await process.copies.restored.wait()
        world.store.says = unavailable()
        assert await process.tell("a") == ("2", "hit", 0, False)
        assert await process.tell("b") == ("1", "fallback", 0, False)


class StuckDisk(StateDir):
    """A disk that takes nothing until it may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may = threading.Event()
        self.may.set()
        self.is_stuck = threading.Event()

    def write(self, name: str, data: bytes) -> float:
        if not self.may.is_set():
            self.is_stuck.set()
            self.may.wait()
        return super().write(name, data)


async def test_denied_while_the_disk_takes_nothing(world: World) -> None:
    """What the store takes back is removed, however much waits for the disk by then."""
    world.max_entries = 4
    disk = StuckDisk(world.folder)
    denied = ("p", "q", "r")
    async with world.process() as process:
        for each in denied:
            await process.get(each)

    async with world.process(state=disk) as process:
        disk.may.clear()
        await process.get("first")
        await asyncio.to_thread(disk.is_stuck.wait, 10)
        await process.get("second")
        await process.get("third")
        world.store.says = absent()
        for number in range(10 * world.max_entries):
            assert (await process.tell(f"never-{number}"))[0] == "PROMPT_NOT_FOUND"
        for each in denied:
            await asyncio.gather(process.get(each, refresh=True), return_exceptions=True)
        assert len(process.copies._thread._pending) == len(("second", "third", *denied))
        disk.may.set()
    world.store.says = unavailable()

    async with world.process() as process:
        for each in denied:
            assert (await process.tell(each))[0] == "STORE_UNAVAILABLE"
        assert await process.tell("second") == ("1", "fallback", 0, False)


async def test_denied_while_it_is_written(world: World) -> None:
    """What is on its way to the disk is removed, though much has been told of since."""
    world.max_entries = 4
    disk = StuckDisk(world.folder)
    denied = ("written", "waits")
    async with world.process(state=disk) as process:
        disk.may.clear()
        await process.get("written")
        await asyncio.to_thread(disk.is_stuck.wait, 10)
        await process.get("waits")
        for number in range(2 * world.max_entries):
            await process.get(f"other-{number}")
        world.store.says = absent()
        for each in denied:
            await asyncio.gather(process.get(each, refresh=True), return_exceptions=True)
        disk.may.set()
    world.store.says = unavailable()

    async with world.process() as process:
        for each in denied:
            assert (await process.tell(each))[0] == "STORE_UNAVAILABLE"


async def test_denied_while_the_disk_is_read(world: World) -> None:
    """What the store has denied by the time its copy is read is not served any more."""
    async with world.process() as process:
        await process.get()
    disk = SlowDisk(world.folder)
    world.store.says = absent()

    async with world.process(state=disk, within_s=0) as process:
        assert (await process.tell())[0] == "PROMPT_NOT_FOUND"
        disk.may.set()
        async with asyncio.timeout(10):
            await process.copies.restored.wait()
        world.store.says = unavailable()
        process.pass_time(10)
        assert (await process.tell())[0] == "STORE_UNAVAILABLE"
    assert world.files == []


async def test_copy_is_not_fresh(world: World) -> None:
    """The page shows a copy as one whose store is to be asked, until it has been."""
    async with world.process() as process:
        await process.get()

    async with world.process() as process:
        (held,) = process.cache.inventory.find(most=9)
        assert held.freshness == "due"
        await process.get()
        await process.settle()
        (held,) = process.cache.inventory.find(most=9)
        assert held.freshness == "fresh"


@pytest.mark.foreign
async def test_disk_that_may_only_be_read(world: World, require_all: bool) -> None:
    """A disk that has become read-only serves what is on it, also to a process that is new."""
    with small_disk(world.folder, require_all=require_all) as remount:
        async with world.process() as process:
            await process.get()
        left = world.files[0].with_name(".1-dead")
        left.write_bytes(b"half")
        os.utime(left, (0, 0))
        remount("ro")
        world.store.says = unavailable()

        async with world.process() as process:
            assert await process.tell() == ("1", "fallback", 0, False)
            world.store.says = make_template("p", "2")
            assert (await process.get(refresh=True)).template.version == "2"
        assert process.counted("failed") == 1


@pytest.mark.foreign
async def test_disk_that_is_full(world: World, require_all: bool) -> None:
    """A disk that is full keeps whole copies, and takes new ones once there is room."""
    with small_disk(world.folder, require_all=require_all):
        async with world.process() as process:
            await process.get()
        async with world.process() as process:
            ballast = fill_disk(world.folder)
            world.store.says = make_template("p", "2")
            await process.get(refresh=True)
        assert process.counted("failed") == 1

        world.store.says = unavailable()
        async with world.process() as process:
            assert (await process.tell())[:2] == ("1", "fallback")
            ballast.unlink()
            world.store.says = make_template("p", "2")
            await process.get(refresh=True)
        world.store.says = unavailable()
        async with world.process() as process:
            assert (await process.tell())[:2] == ("2", "fallback")


async def test_folder_that_vanishes(world: World) -> None:
    """A folder that is taken away, as what tidies up may do, is made again for its owner alone."""
    async with world.process() as process:
        await process.get("gone")
    async with world.process() as process:
        (world.folder / "templates").rename(world.folder / "away")
        assert (await process.tell("a"))[1] == "miss"
        world.store.says = absent()
        await asyncio.gather(process.get("gone", refresh=True), return_exceptions=True)
    assert (process.counted("written"), process.counted("failed")) == (1, 0)
    assert len(world.files) == 1
    assert ((world.folder / "templates").stat().st_mode & 0o777) == 0o700
    assert not list((world.folder / "templates").glob(".*"))


async def test_processes_share_a_folder(world: World) -> None:
    """Two processes keep their copies in one folder, by one secret, and neither hurts the other."""
    async with world.process() as first, world.process() as second:
        for number in range(20):
            await asyncio.gather(first.get(f"p{number}"), second.get(f"p{number}"))
        await first.get("a", caller_key="key-of-caller")
        await second.get("b", caller_key="key-of-caller")
    world.store.says = unavailable()

    async with world.process() as third:
        assert third.counted("restored") == 22
        for prompt_id in ("a", "b"):
            assert (await third.tell(prompt_id, caller_key="key-of-caller"))[1] == "fallback"


async def test_ten_thousand_copies(world: World) -> None:
    """As many copies as are held by default are read in one go."""
    world.max_entries = 10_000
    state = StateDir(world.folder)
    for number in range(10_000):
        key, place = Key("told", f"p{number}", None, None, b""), digest_of("")
        copy = Copy(key, place, make_template("p", "1"), 0.0)
        name = name_of(key, place, state.secret)
        (world.folder / "templates" / name).write_bytes(seal(copy, state.secret))
    world.store.says = unavailable()

    async with world.process() as process:
        assert process.counted("restored") == 10_000
        assert process.cache.inventory.entries == 10_000
        assert (await process.tell("p9999"))[1] == "fallback"


@pytest.mark.foreign
@pytest.mark.parametrize("begun", [True, False])
def test_disk_that_is_full_from_the_start(world: World, require_all: bool, begun: bool) -> None:
    """A disk that has no room for the secret is told apart, and nothing of it is left there."""
    with small_disk(world.folder, require_all=require_all):
        if begun:
            (world.folder / "templates").mkdir()
        ballast = fill_disk(world.folder)
        with pytest.raises(FullDiskError, match="no space left on device"):
            StateDir(world.folder)
        assert not {each.name for each in world.folder.iterdir()} - {"ballast", "templates"}

        ballast.unlink()
        assert StateDir(world.folder).secret


def test_nobody_else_reads_it(world: World) -> None:
    """The folder, the secret and the copies are for their owner alone."""
    StateDir(world.folder).write("name", b"copy")

    assert (world.folder.stat().st_mode & 0o777) == 0o700
    for path in (world.folder / "secret", world.folder / "templates" / "name"):
        assert (path.stat().st_mode & 0o777) == 0o600


def test_secret_stays(world: World) -> None:
    """The secret is made once."""
    first, second = StateDir(world.folder), StateDir(world.folder)

    assert (first.salt, first.secret) == (second.salt, second.secret)
    assert first.salt != first.secret


def spoil_by_a_file(path: Path) -> None:
    path.write_text("a file")


def spoil_the_secret(path: Path) -> None:
    StateDir(path)
    (path / "secret").write_bytes(b"short")


def publish_the_secret(path: Path) -> None:
    StateDir(path)
    (path / "secret").chmod(0o644)


def link_the_secret(path: Path) -> None:
    StateDir(path)
    (path / "secret").rename(path / "other")
    (path / "secret").symlink_to(path / "other")


def link_the_folder(path: Path) -> None:
    path.mkdir()
    (path / "elsewhere").mkdir()
    (path / "templates").symlink_to(path / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_by_a_file, "expected a folder that can be written to: not a directory"),
        (spoil_the_secret, "expected a secret of 64 bytes, or no file, at "),
        (publish_the_secret, "expected a file that others cannot read at "),
        (link_the_secret, "expected a folder that can be written to: too many levels"),
        (link_the_folder, "expected a folder that can be written to at "),
    ],
)
def test_folder_that_cannot_be_used(
    tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    """A folder that is none, or whose secret is nobody's or everybody's, stops the start."""
    spoil(tmp_path / "state")

    with pytest.raises(StateError, match=expected):
        StateDir(tmp_path / "state")


async def test_copies_of_lost_stores(world: World) -> None:
    """All copies of a store that is lost are removed, whether read or written, and no others."""
    places = {"told": digest_of("")}
    limits = {"max_entries": world.max_entries, "max_bytes": world.max_bytes}
    async with world.process() as process:
        await process.get()
        await process.get("r")
    async with world.process("before") as process:
        await process.get("q", store="before")
    async with world.process("before") as process:
        process.copies.adopt(places, lost={"before"}, **limits)
    assert process.counted("removed") == 1
    assert len(world.files) == 2

    async with world.process() as process:
        assert process.counted("restored") == 2
        await process.get(refresh=True)
        process.copies.adopt({}, lost={"told"}, **limits)
        await process.get(refresh=True)
    assert world.files == []


class FaultyDisk(StateDir):
    """A disk of which the first of each work ends in what nobody has foreseen."""

    def __init__(self, folder: Path, *faulty: str) -> None:
        super().__init__(folder)
        self._faulty = {*faulty}

    def scan(self) -> Iterator[StateFile]:
        self._fail_once("scan")
        return super().scan()

    def read(self, name: str) -> bytes:
        self._fail_once("read")
        return super().read(name)

    def write(self, name: str, data: bytes) -> float:
        self._fail_once("write")
        return super().write(name, data)

    def _fail_once(self, work: str) -> None:
        if work in self._faulty:
            self._faulty.discard(work)
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("faulty", "restored", "failed"), [("scan", 0, 0), ("read", 1, 1), ("write", 2, 1)]
)
async def test_fault_of_ours(
    world: World, faulty: str, restored: int, failed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault in one file is counted and told by its place, and all others are kept as ever."""
    async with world.process() as process:
        await process.get("a")
        await process.get("b")
    async with world.process(state=FaultyDisk(world.folder, faulty)) as process:
        assert process.copies.restored.is_set()
        assert process.counted("restored") == restored
        await process.get("c")
        await process.get("d")
    assert process.counted("failed") == failed
    assert process.counted("written") >= 1
    [line] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "_fail_once" in vars(line)["where"][-1]
