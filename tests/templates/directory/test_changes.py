"""What happens to files is known without looking at them, and what is not told is seen soon."""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.templates.directory.changes import Changes, Witness
from prompt_resolver_server.templates.directory.reading import Looks, Reading
from prompt_resolver_server.templates.files import Root
from tests.support.stores import Clock
from tests.support.unreachable import until

NAMES = ("desk.prompt", "shop/till.prompt", "linked/till.prompt", "desk.versions", "desk.absent")
PAST = 1_000_000_000


@pytest.fixture
def changes() -> Iterator[Changes]:
    """Changes that are closed in the end."""
    with closing(Changes()) as found:
        yield found


def plant(folder: Path) -> Path:
    """Make a tree of old files whose root is a link, with a link in it, and return the root."""
    tree = folder / "trees" / "one"
    (tree / "shop").mkdir(parents=True)
    (tree / "desk.versions").mkdir()
    for name in ("desk.prompt", "shop/till.prompt", "desk.versions/v1.prompt"):
        (tree / name).write_text("hello")
    (tree / "linked").symlink_to("shop")
    root = folder / "prompts"
    root.symlink_to("trees/one")
    settle(folder)
    return root


def settle(folder: Path) -> None:
    """Have everything in a folder look as if nobody had written to it for long."""
    for path in (folder, *folder.rglob("*")):
        # It may be a link to nothing, or to itself.
        with suppress(OSError):
            os.utime(path, (PAST, PAST), follow_symlinks=False)


def look(root: Path) -> Looks:
    """Return what all files of interest look like."""
    reading = Reading(Root(root, store="local"), store="local")
    for name in NAMES:
        reading.note(name)
    return reading.looks


def write_in_place(root: Path) -> None:
    """Write to a file."""
    (root / "desk.prompt").write_text("hullo")


def write_behind_a_link(root: Path) -> None:
    """Write to a file that a link in the tree leads to."""
    (root / "linked" / "till.prompt").write_text("hullo")


def write_by_another_name(root: Path) -> None:
    """Write to a file by a name that it has elsewhere."""
    other = root.parent / "other"
    other.hardlink_to(root / "desk.prompt")
    other.write_text("hullo")


def replace(root: Path) -> None:
    """Put another file in the place of one."""
    new = root.parent / "new"
    new.write_text("hullo")
    new.replace(root / "shop" / "till.prompt")


def remove(root: Path) -> None:
    """Remove a file."""
    (root / "desk.prompt").unlink()


def add_what_was_absent(root: Path) -> None:
    """Add a file that was not there."""
    (root / "desk.absent").write_text("hello")


def move_in_what_was_absent(root: Path) -> None:
    """Move a file to where none was."""
    new = root.parent / "new"
    new.write_text("hello")
    new.rename(root / "desk.absent")


def add_a_version(root: Path) -> None:
    """Add something to a folder that nobody writes to."""
    (root / "desk.versions" / "v2.prompt").mkdir()


def move_a_version_away(root: Path) -> None:
    """Take a file out of a folder."""
    (root / "desk.versions" / "v1.prompt").rename(root.parent / "v1.prompt")


def lead_elsewhere(root: Path) -> None:
    """Have the link in the tree lead to another folder."""
    (root / "shelf").mkdir()
    (root / "shelf" / "till.prompt").write_text("hello")
    new = root / "new"
    new.symlink_to("shelf")
    new.replace(root / "linked")


def swap_the_root(root: Path) -> None:
    """Have the root be another tree, as Kubernetes does it."""
    two = root.parent / "trees" / "two"
    two.mkdir()
    new = root.parent / "new"
    new.symlink_to("trees/two")
    new.replace(root)


def move_the_root_away(root: Path) -> None:
    """Keep the root's link under another name, and have another in its place."""
    root.rename(root.parent / "before")
    root.symlink_to("trees")


def move_what_the_root_is_in(root: Path) -> None:
    """Move a folder that the root's link leads through."""
    trees = root.parent / "trees"
    trees.rename(root.parent / "woods")


def touch(root: Path) -> None:
    """Change when a file was written, and nothing else."""
    os.utime(root / "desk.prompt", (PAST + 1, PAST + 1))


def idle(root: Path) -> None:
    """Do nothing to what was looked at."""
    (root.parent / "beside").write_text("hello")


HAPPENINGS = [
    write_in_place,
    write_behind_a_link,
    write_by_another_name,
    replace,
    remove,
    add_what_was_absent,
    move_in_what_was_absent,
    add_a_version,
    move_a_version_away,
    lead_elsewhere,
    swap_the_root,
    move_the_root_away,
    move_what_the_root_is_in,
    touch,
]


@pytest.mark.parametrize("happen", HAPPENINGS)
def test_what_happens_is_known_at_once(
    happen: Callable[[Path], None], tmp_path: Path, changes: Changes
) -> None:
    """Nothing is confirmed any more as soon as it has changed, whatever was done to it."""
    root = plant(tmp_path)
    witness = Witness(look(root), changes)
    assert witness.confirms()
    assert witness.confirms()
    # It is by being told that it is known, and not by looking.
    assert changes.watches > 0
    told = changes.count()

    happen(root)

    assert changes.count() != told
    assert not witness.confirms()


def test_what_happens_beside_changes_nothing(tmp_path: Path, changes: Changes) -> None:
    """What happens to other files has nothing confirmed less."""
    root = plant(tmp_path)
    witness = Witness(look(root), changes)
    assert witness.confirms()
    before = changes.count()

    idle(root)

    assert witness.confirms()
    assert changes.count() == before


@given(happenings=st.lists(st.sampled_from([*HAPPENINGS, idle]), max_size=8))
def test_nothing_is_confirmed_that_looks_otherwise(
    happenings: list[Callable[[Path], None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is done to files, in whatever order: what is confirmed looks the same."""
    folder = tmp_path_factory.mktemp("tree")
    root = plant(folder)
    with closing(Changes()) as changes:
        for happen in happenings:
            looks = look(root)
            witness = Witness(looks, changes)
            for _ in range(2):
                assert witness.confirms() == looks.prove()
            with suppress(OSError):
                happen(root)
            assert witness.confirms() == looks.prove()
            settle(folder)


async def test_what_is_not_told_is_seen_soon(tmp_path: Path, changes: Changes) -> None:
    """What is written through memory is told by nobody; it is seen all the same."""
    root = plant(tmp_path)
    witness = Witness(look(root), changes)
    assert witness.confirms()
    assert changes.watches > 0
    before = changes.count()

    with (
        (root / "desk.prompt").open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as memory,
    ):
        memory[:5] = b"hullo"
        memory.flush()

    assert changes.count() == before
    await until(lambda: not witness.confirms())


def by_way_of_a_folder(folder: Path) -> Path:
    """Return a root that ends in its parent."""
    (folder / "prompts" / "sub").mkdir()
    return folder / "prompts" / "sub" / ".."


def by_a_link_to_itself(folder: Path) -> Path:
    """Return a root that is a link to the folder that it is in."""
    (folder / "prompts" / "here").symlink_to(".")
    return folder / "prompts" / "here"


def by_a_link_to_its_parent(folder: Path) -> Path:
    """Return a root that is a link to the folder above the one that it is in."""
    (folder / "prompts" / "sub").mkdir()
    (folder / "prompts" / "sub" / "up").symlink_to("..")
    return folder / "prompts" / "sub" / "up"


def by_an_absolute_link(folder: Path) -> Path:
    """Return a root that is a link with a whole path."""
    (folder / "there").symlink_to(folder / "prompts")
    return folder / "there"


@pytest.mark.parametrize(
    "find_root",
    [by_way_of_a_folder, by_a_link_to_itself, by_a_link_to_its_parent, by_an_absolute_link],
)
@pytest.mark.parametrize("happen", [write_in_place, add_what_was_absent, add_a_version])
def test_roots_of_all_kinds(
    find_root: Callable[[Path], Path],
    happen: Callable[[Path], None],
    tmp_path: Path,
    changes: Changes,
) -> None:
    """Whichever way leads to a file, what happens to it is known at once."""
    plant(tmp_path)
    root = find_root(tmp_path)
    settle(tmp_path)
    witness = Witness(look(root), changes)
    assert witness.confirms()
    assert witness.confirms()
    assert changes.watches > 0

    happen(root)

    assert not witness.confirms()


def test_working_directory_that_is_gone(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the service was started matters to no whole path, even if it is no longer there."""
    root = plant(tmp_path)
    (tmp_path / "release").mkdir()
    monkeypatch.chdir(tmp_path / "release")
    (tmp_path / "release").rmdir()
    witness = Witness(look(root), changes)

    assert witness.confirms()


def test_relative_root_whose_folder_is_gone(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that begins nowhere is looked at, and is no fault."""
    (tmp_path / "release").mkdir()
    monkeypatch.chdir(tmp_path / "release")
    plant(tmp_path)
    (tmp_path / "release").rmdir()
    root = Path("../prompts")
    witness = Witness(look(root), changes)
    assert witness.confirms()
    assert witness.confirms()

    write_in_place(root)

    assert not witness.confirms()


def test_descriptor_that_somebody_closes(tmp_path: Path, changes: Changes) -> None:
    """Without its descriptor nothing is told, and nobody else's is closed in its place."""
    root = plant(tmp_path)
    before = inotify_descriptors()
    witness = Witness(look(root), changes)
    assert witness.confirms()
    (descriptor,) = inotify_descriptors() - before
    os.close(descriptor)
    assert witness.confirms()
    with (tmp_path / "other").open("w") as other:
        write_in_place(root)
        assert not witness.confirms()
        changes.close()

        assert os.fstat(other.fileno())


def test_descriptor_goes_with_its_owner(tmp_path: Path) -> None:
    """Who forgets to close has the system tell nothing for nobody."""
    before = inotify_descriptors()
    changes = Changes()
    changes.begin()
    (descriptor,) = inotify_descriptors() - before

    del changes

    assert descriptor not in inotify_descriptors()


def inotify_descriptors() -> set[int]:
    """Return the descriptors of this process by which the system tells what happens to files."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if "inotify" in os.readlink(f"/proc/self/fd/{name}"):
                found.add(int(name))
    return found


def test_more_than_the_system_keeps(tmp_path: Path, changes: Changes) -> None:
    """Where more happens than the system keeps to be told, it is told of all that follows."""
    root = plant(tmp_path)
    witness = Witness(look(root), changes)
    assert witness.confirms()
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one, two = root / "desk.prompt", root / "shop" / "till.prompt"
    for number in range(kept // 2 + 100):
        os.utime(one, (PAST + number, PAST))
        os.utime(two, (PAST + number, PAST))

    assert not witness.confirms()
    while changes.count() != changes.count():
        pass
    settle(tmp_path)
    again = Witness(look(root), changes)
    assert again.confirms()
    assert changes.watches > 0
    write_in_place(root)
    assert not again.confirms()


@pytest.mark.parametrize("max_watches", [0, 1, 12])
def test_more_than_is_watched(max_watches: int, tmp_path: Path) -> None:
    """Files beyond those that are watched are looked at, and confirmed as long as they are so."""
    one, two = plant(tmp_path / "one"), plant(tmp_path / "two")
    with closing(Changes(max_watches=max_watches)) as changes:
        first, second = Witness(look(one), changes), Witness(look(two), changes)
        for _ in range(2):
            assert first.confirms()
            assert second.confirms()

        write_in_place(one)
        write_in_place(two)

        assert not first.confirms()
        assert not second.confirms()


def test_what_is_watched_is_chosen_anew(tmp_path: Path) -> None:
    """Where there is no room for more, room is made once a minute."""
    root = plant(tmp_path)
    clock = Clock()
    with closing(Changes(max_watches=1, clock=clock)) as changes:
        changes.begin()
        looks = look(root)
        assert changes.watch(looks)
        watched = changes.watches
        assert not changes.watch(looks)

        clock.now += 61

        assert changes.watch(looks)
        assert changes.watches == watched


def test_where_nothing_is_told(tmp_path: Path, changes: Changes) -> None:
    """Where the system tells nothing, files are looked at."""
    root = plant(tmp_path)
    told = Witness(look(root), changes)
    assert told.confirms()
    changes.close()
    witness = Witness(look(root), changes)
    for _ in range(2):
        assert witness.confirms()
        assert told.confirms()

    write_in_place(root)

    assert not witness.confirms()
    assert not told.confirms()


def test_no_watch_outlasts_its_file(tmp_path: Path, changes: Changes) -> None:
    """Files may come and go for ever: what is gone is watched no more."""
    root = plant(tmp_path)
    for number in range(50):
        new = root.parent / "new"
        new.write_text(f"hello {number}")
        new.replace(root / "desk.prompt")
        settle(tmp_path)
        assert Witness(look(root), changes).confirms()
        changes.count()

    assert changes.watches < 2 * len(NAMES) + len(tmp_path.parts) + 5
