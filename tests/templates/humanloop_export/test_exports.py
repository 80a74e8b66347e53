"""Of several exports the newest is served that is whole."""

import logging
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.humanloop_export.exports import Export, Exports
from tests.support.humanloop_export import age, two_prompts, write_export, write_file
from tests.support.nobody import as_nobody, open_folder
from tests.support.stores import Clock

FIRST, SECOND, THIRD = "20250601-120000", "20250701-080000", "20250801-235959"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two whole exports in it, and with things that are none."""
    folder = tmp_path / "exports"
    for name in (FIRST, SECOND):
        write_export(folder / name, two_prompts().prompts.values())
    for name in ("latest", "20250901", ".20250901-120000"):
        write_export(folder / name, two_prompts().prompts.values())
    (folder / "20250902-120000").write_text("")
    age(folder)
    return folder


@pytest.fixture
def exports(folder: Path) -> Exports:
    return make_exports(folder)


def make_exports(folder: Path, clock: Clock | None = None) -> Exports:
    return Exports(Root(folder, store="old"), store="old", clock=clock or Clock())


def served(export: Export) -> str:
    """Return the name of the export that is served."""
    (name,) = {Path(file.folder).parents[1].name for file in export.index.files.values()}
    return name


def begin(folder: Path) -> None:
    """Write an export that was interrupted: one prompt of it is there, and one is not."""
    api = two_prompts()
    write_export(folder, [api.prompts["pr_2"]])
    write_file(folder, api.prompts["pr_1"].document("prv_1"), done=False)
    age(folder)


def test_newest(exports: Exports) -> None:
    """The newest of the exports is served, by its name."""
    assert served(exports.find()) == SECOND


def test_export_itself(folder: Path) -> None:
    """The path of an export means it, whatever is beside it."""
    assert served(make_exports(folder / FIRST).find()) == FIRST


def test_same_while_nothing_changes(exports: Exports, folder: Path) -> None:
    """The export is the same object until something changes, however thoroughly it is looked at."""
    clock = Clock()
    exports = make_exports(folder, clock)
    first = exports.find()
    clock.now += 60

    assert exports.find() is first
    assert exports.find(thorough=True) is first


def test_new_export(exports: Exports, folder: Path) -> None:
    """An export that appears is served by the next call."""
    exports.find()
    write_export(folder / THIRD, two_prompts().prompts.values())

    assert served(exports.find()) == THIRD


def test_export_that_is_being_written(
    exports: Exports, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer export is served once it is whole, and the log tells that it is not."""
    caplog.set_level(logging.WARNING)
    exports.find()
    begin(folder / THIRD)
    age(folder)
    before = exports.find()
    again = exports.find()
    (folder / THIRD / "files" / "pr_1" / ".done").write_text("")

    assert (served(before), again) == (SECOND, before)
    assert served(exports.find()) == THIRD
    (record,) = caplog.records
    assert (vars(record)["served"], vars(record)["passed_over"]) == (SECOND, [THIRD])


def test_export_without_files(exports: Exports, folder: Path) -> None:
    """A newer export that has no files yet is not served, and is noticed when it has."""
    (folder / THIRD).mkdir()
    age(folder)
    assert served(exports.find()) == SECOND

    write_export(folder / THIRD, two_prompts().prompts.values())

    assert served(exports.find()) == THIRD


def test_none_is_whole(tmp_path: Path) -> None:
    """Where no export has all of its files, the newest is served that has any."""
    begin(tmp_path / FIRST)
    begin(tmp_path / SECOND)
    write_file(tmp_path / THIRD, two_prompts().prompts["pr_1"].document("prv_1"), done=False)

    assert served(make_exports(tmp_path).find()) == SECOND


@pytest.mark.parametrize("empty", [True, False])
def test_no_export(tmp_path: Path, empty: bool) -> None:
    """A folder without an export in it is a store that does not answer, and says what it needs."""
    if not empty:
        (tmp_path / "files").write_text("")
    with pytest.raises(StoreError, match="expected an export with a folder 'files'") as caught:
        make_exports(tmp_path).find()

    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("name", ["", "files", "files/pr_1"])
def test_newest_that_may_not_be_read(name: str) -> None:
    """The newest export is not passed over for being one that cannot be read, in all or in part."""
    with open_folder() as folder:
        for each in (FIRST, SECOND):
            write_export(folder / each, two_prompts().prompts.values())
        forbidden = folder / SECOND / name
        forbidden.chmod(0)
        with as_nobody():
            found = outcome(make_exports(folder))
        forbidden.chmod(0o755)

    assert found == (SECOND if name == "files/pr_1" else "STORE_UNAVAILABLE")


def test_what_may_be_read_again() -> None:
    """What could not be read is read again when it is asked for, at most once a second."""
    clock = Clock()
    with open_folder() as folder:
        exports = make_exports(write_export(folder, two_prompts().prompts.values()), clock)
        (folder / "files" / "pr_1").chmod(0)
        age(folder)
        with as_nobody():
            before = exports.find_current("pr_1").index.find("pr_1")
        (folder / "files" / "pr_1").chmod(0o755)
        clock.now += 1.1
        after = exports.find_current("pr_1").index.find("pr_1")

    assert [[file.is_readable for file in found] for found in (before, after)] == [[False], [True]]


def outcome(exports: Exports) -> str:
    """Return which export is served, or why none is."""
    try:
        return served(exports.find())
    except StoreError as error:
        return error.reason


def test_links_out_are_no_exports(exports: Exports, folder: Path, tmp_path: Path) -> None:
    """An export is not served by a link to somewhere else."""
    outside = write_export(tmp_path / "outside", two_prompts().prompts.values())
    (folder / THIRD).symlink_to(outside)
    (folder / "20250803-120000").mkdir()
    (folder / "20250803-120000" / "files").symlink_to(outside / "files")

    assert served(exports.find()) == SECOND


def test_looked_through_once_a_second(folder: Path) -> None:
    """A change within a file is found by a thorough look, of which there is one a second."""
    clock = Clock()
    exports = make_exports(folder, clock)
    first = exports.find()
    record = folder / SECOND / "files" / "pr_1" / "file.json"
    record.write_text(record.read_text().replace("Team/Hi", "Moved"))

    clock.now += 0.5
    assert exports.find(thorough=True) is first
    clock.now += 0.6
    assert exports.find() is first
    assert exports.find(thorough=True).index.find("Moved")
