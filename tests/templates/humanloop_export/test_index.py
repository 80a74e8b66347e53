"""An export's files are found by id and by path, as far as they were exported."""

import os
from pathlib import Path

import pytest

from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.humanloop_export.index import ExportIndex, read_index
from tests.support.humanloop_export import age, tool_record, two_prompts, write_export, write_file
from tests.support.opened import files_opened

RECORD = two_prompts().prompts["pr_1"].document("prv_1")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of two prompts and a tool."""
    export = write_export(tmp_path / "export", two_prompts().prompts.values())
    write_file(export, tool_record("tl_1", "Team/snips"))
    return export


def read(export: Path, before: ExportIndex | None = None) -> ExportIndex:
    return read_index(Root(export, store="old"), str(export), before)


def found(index: ExportIndex, prompt_id: str) -> list[str]:
    return [file.id for file in index.find(prompt_id)]


@pytest.mark.parametrize(
    ("prompt_id", "ids"),
    [
        ("pr_1", ["pr_1"]),
        ("Team/Hi", ["pr_1"]),
        ("Other", ["pr_2"]),
        ("tl_1", ["tl_1"]),
        ("Team/snips", ["tl_1"]),
        ("Hi", []),
        ("pr_3", []),
    ],
)
def test_finds(export: Path, prompt_id: str, ids: list[str]) -> None:
    """A file is found by its id and by its path."""
    assert found(read(export), prompt_id) == ids


def test_id_is_no_path(export: Path) -> None:
    """What looks like the id of a prompt is no path, as it is none in the API."""
    write_file(export, {**RECORD, "id": "pr_3", "path": "pr_4"})

    assert found(read(export), "pr_4") == []


def test_same_path(export: Path) -> None:
    """Of files with one path the prompts are meant, and those that were exported to the end."""
    write_file(export, tool_record("tl_2", "Team/Hi"))
    write_file(export, {**RECORD, "id": "pr_0"}, done=False)
    assert found(read(export), "Team/Hi") == ["pr_1"]

    write_file(export, {**RECORD, "id": "pr_3"})
    assert found(read(export), "Team/Hi") == ["pr_1", "pr_3"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "expected JSON"),
        ("[]", "expected a JSON object, got a list"),
        ("{}", "id: expected text, got nothing"),
        ('{"id": "pr_2"}', "id: expected the name of its folder"),
        ('{"id": "pr_1", "type": "prompt"}', "path: expected text, got nothing"),
        ('{"id": "pr_1", "path": "a"}', "type: expected text, got nothing"),
        ('{"id": "pr_1", "path": "a", "type": 1}', "type: expected text, got a number"),
        ("[" * 100_000, "expected JSON"),
        (" " * 10_000_000, "expected at most 1048576 bytes"),
    ],
)
def test_broken(export: Path, content: str, problem: str) -> None:
    """What is wrong with a `file.json` is told of its file, and harms no other."""
    (export / "files" / "pr_1" / "file.json").write_text(content)

    index = read(export)

    assert index.files["pr_1"].problem == f"file.json: {problem}"
    assert (found(index, "Team/Hi"), found(index, "Other")) == ([], ["pr_2"])
    assert index.broken() == 1


def test_what_is_no_file(export: Path, tmp_path: Path) -> None:
    """Names that are no ids, what is no folder, and what is outside are no files of the export."""
    outside = write_file(tmp_path / "outside", {**RECORD, "id": "pr_3", "path": "secret"})
    (export / "files" / "pr_3").symlink_to(outside)
    for name in (".hidden", "pr 4", "pr_4\n", "pr_é", os.fsdecode(b"pr_\xff")):
        write_file(export, {**RECORD, "id": name})
    (export / "files" / "pr_5").write_text("")
    (export / "files" / "pr_6").mkdir()
    os.mkfifo(export / "files" / "pr_6" / "file.json")
    os.mkfifo(export / "files" / "pr_7")

    with files_opened() as files:
        index = read(export)

    assert set(index.files) == {"pr_1", "pr_2", "pr_3", "pr_6", "tl_1"}
    assert not any(name.startswith(str(outside)) for name in files)
    assert index.files["pr_3"].record is index.files["pr_6"].record is None
    assert found(index, "secret") == []


def test_reads_what_has_changed(export: Path) -> None:
    """An index that is made anew reads the files that look different, and no others."""
    age(export)
    before = read(export)
    write_file(export, {**RECORD, "path": "Moved"})

    with files_opened() as files:
        index = read(export, before)

    assert [name for name in files if name] == [str(export / "files" / "pr_1" / "file.json")]
    assert index.files["pr_2"] is before.files["pr_2"]
    assert (found(index, "Moved"), found(index, "Team/Hi")) == (["pr_1"], [])


def test_is_whole(export: Path) -> None:
    """An export is whole once each of its files is done; an empty one is not begun."""
    index = read(export)
    assert (index.is_whole, index.is_begun) == (True, True)

    write_file(export, {**RECORD, "id": "pr_3"}, done=False)
    index = read(export)
    assert (index.is_whole, index.is_begun) == (False, True)

    (export / "empty" / "files").mkdir(parents=True)
    empty = read_index(Root(export, store="old"), str(export / "empty"), None)
    assert (empty.is_whole, empty.is_begun) == (False, False)


def test_looks_of_an_interrupted_export(export: Path) -> None:
    """The looks tell that the export goes on, for they are those of its first unfinished files."""
    folder = write_file(export, {**RECORD, "id": "pr_3"}, done=False)
    (folder / "file.json").unlink()
    age(export)
    index = read(export)
    assert all(look.holds() for look in index.looks)

    (folder / "file.json").write_text("")

    assert not all(look.holds() for look in index.looks)
