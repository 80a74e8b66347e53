"""What a pull remembers outlives it, and what a crash has left of it does no harm."""

from datetime import timedelta
from pathlib import Path

import pytest

from prompt_resolver.arguments import UsageError
from prompt_resolver_server.commands.pull.journal import Entry, Journal
from tests.support.pulling import WHEN

ENTRY = Entry(store="told", id="pr_1", versions={"v1": "aa"}, files={"a.prompt": "bb"})


def make_journal(root: Path, *, task: str = "t", late: timedelta = timedelta(0)) -> Journal:
    return Journal(root, task=task, now=WHEN + late)


def test_goes_on(tmp_path: Path) -> None:
    """What was done and what was about to be written is known to the run that goes on."""
    torn = make_journal(tmp_path)
    torn.begin_writing({"b.prompt": "cc"})
    torn.end_writing("a", ENTRY, listed="v1 aa")

    journal = make_journal(tmp_path, late=timedelta(minutes=59))

    assert journal.has_done("a", "v1 aa")
    assert not journal.has_done("a", "v2 aa")
    assert journal.is_known("a.prompt", "bb")
    assert journal.is_known("b.prompt", "cc")
    assert not journal.is_known("b.prompt", "bb")
    assert journal.path_of("told", "pr_1") == "a"


@pytest.mark.parametrize(
    ("task", "late"),
    [("t", timedelta(hours=1)), ("t", -timedelta(seconds=1)), ("other", timedelta(0))],
)
def test_begins_anew(tmp_path: Path, task: str, late: timedelta) -> None:
    """Long after, or for something else, all is looked at again; whose the files are is known."""
    torn = make_journal(tmp_path)
    torn.begin_writing({"b.prompt": "cc"})
    torn.end_writing("a", ENTRY, listed="v1 aa")

    for journal in (make_journal(tmp_path, task=task, late=late), make_journal(tmp_path)):
        assert not journal.has_done("a", "v1 aa")
        assert journal.is_known("a.prompt", "bb")
        assert journal.is_known("b.prompt", "cc")
        assert journal.entries.keys() == {"a"}


@pytest.mark.parametrize("name", [".pull.json", ".pull.journal"])
def test_links(tmp_path: Path, name: str) -> None:
    """Where somebody has put a link, it is replaced, and what it leads to is not written to."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    root = tmp_path / "root"
    root.mkdir()
    (root / f"{name}.new").symlink_to(outside)

    journal = make_journal(root)
    journal.end_writing("a", ENTRY, listed="v1 aa")
    journal.finish()

    assert make_journal(root).entries.keys() == {"a"}
    assert outside.read_text() == "precious"


def test_torn_line(tmp_path: Path) -> None:
    """A line that was not written to its end is passed over."""
    make_journal(tmp_path).end_writing("a", ENTRY, listed="v1 aa")
    path = tmp_path / ".pull.journal"
    path.write_bytes(path.read_bytes() + path.read_bytes()[:50])

    assert make_journal(tmp_path).has_done("a", "v1 aa")


def test_finishes(tmp_path: Path) -> None:
    """In the end there is the manifest alone, the same whatever came first."""
    for root, order in ((tmp_path / "a", "ab"), (tmp_path / "b", "ba")):
        root.mkdir()
        journal = make_journal(root)
        for path in order:
            journal.end_writing(path, ENTRY, listed="")
        journal.write_ids("dd")
        journal.finish()

    assert [path.name for path in (tmp_path / "a").iterdir()] == [".pull.json"]
    manifest = (tmp_path / "a" / ".pull.json").read_bytes()
    assert manifest == (tmp_path / "b" / ".pull.json").read_bytes()
    again = make_journal(tmp_path / "a")
    assert (again.ids, sorted(again.entries)) == ("dd", ["a", "b"])
    assert again.is_known("ids.yaml", "dd")


def test_manifest_that_is_none(tmp_path: Path) -> None:
    """A manifest that somebody has spoiled is told, and nothing is done."""
    path = tmp_path / ".pull.json"
    path.write_text('{"format": 2}')

    with pytest.raises(UsageError, match="expected what a pull has written"):
        make_journal(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [".pull.json"]
