"""The `directory` store lists the prompts that it would serve, and no others."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError, StoreError
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.directory import index
from prompt_resolver_server.templates.directory.contents import _moment
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.formats.format_rule import FormatRule, PromptFormat
from prompt_resolver_server.templates.formats.prompt_file import Source
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.nobody import as_nobody, open_folder
from tests.support.opened import files_opened
from tests.support.prompts import write_prompt
from tests.support.volume import Volume

HELLO = "<user>\nHello\n</user>"
LONG_AGO = 1_000_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DirectoryStore]:
    """A store with three prompts in it, written long ago, each an hour after the one before."""
    for hours, prompt_id in enumerate(("c", "team/Apple", "team/b")):
        path = write_prompt(tmp_path, prompt_id, HELLO)
        os.utime(path, (LONG_AGO + hours * 3600,) * 2)
    store = DirectoryStore(name="local", root=tmp_path)
    yield store
    await store.aclose()


async def ids(store: DirectoryStore, query: ListQuery | None = None) -> list[str]:
    page = await store.list_prompts(query or ListQuery())
    return [template.id for template in page.templates]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ListQuery(), ["c", "team/Apple", "team/b"]),
        (ListQuery(order="desc"), ["team/b", "team/Apple", "c"]),
        (ListQuery(sort_by="name"), ["team/Apple", "team/b", "c"]),
        (ListQuery(sort_by="name", order="desc"), ["c", "team/b", "team/Apple"]),
        (ListQuery(sort_by="created_at", order="desc"), ["team/b", "team/Apple", "c"]),
        (ListQuery(sort_by="updated_at"), ["c", "team/Apple", "team/b"]),
        (ListQuery(name="APP"), ["team/Apple"]),
        (ListQuery(name="team"), []),
        (ListQuery(size=2), ["c", "team/Apple"]),
        (ListQuery(size=2, page=2), ["team/b"]),
        (ListQuery(size=2, page=3), []),
        (ListQuery(size=1, page=999_999_999), []),
    ],
)
async def test_pages(store: DirectoryStore, query: ListQuery, expected: list[str]) -> None:
    """Prompts are listed by id, or as was asked, and a page beyond the last is empty."""
    assert await ids(store, query) == expected


async def test_total(store: DirectoryStore) -> None:
    """A page tells how many prompts there are, and each is as it would be served."""
    page = await store.list_prompts(ListQuery(size=1, sort_by="updated_at", order="desc"))

    served = await store.fetch(PromptRef(id="team/b"), None)
    (listed,) = page.templates
    assert page.total == 3
    assert (listed.version, listed.messages) == (served.version, served.messages)
    assert listed.created_at == served.created_at
    assert served.created_at is not None
    assert served.created_at.timestamp() == LONG_AGO + 2 * 3600


def test_no_calendar_has_that_date() -> None:
    """A file may say that it was written at a time that has no date."""
    assert _moment(2.0**60) is None


async def test_broken(
    store: DirectoryStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is broken is on no page, counts for none, and is told of once, as a number."""
    caplog.set_level(logging.WARNING)
    for path in (
        write_prompt(tmp_path, "a", "<user>\nnever closed"),
        write_prompt(tmp_path, "d", HELLO, temperature="secret"),
    ):
        os.utime(path, (LONG_AGO, LONG_AGO))

    first = await store.list_prompts(ListQuery(size=1))
    await ids(store)

    assert ([each.id for each in first.templates], first.total) == (["c"], 3)
    (record,) = caplog.records
    assert vars(record)["broken"] == 2
    assert "secret" not in str(vars(record))


class Faulty(FormatRule):
    """A rule that has a fault, which only some files bring out."""

    def tell(self, source: Source) -> PromptFormat:
        if "fault" in source.body:
            raise ZeroDivisionError(source.body)
        return "humanloop"


async def test_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours that a file brings out keeps that file from lists, and is told once."""
    caplog.set_level(logging.ERROR)
    write_prompt(tmp_path, "a", HELLO)
    write_prompt(tmp_path, "b", "<user>\nfault: s3cret\n</user>")
    write_prompt(tmp_path, "v.versions/1", HELLO)
    write_prompt(tmp_path, "v.versions/2", "<user>\nfault: s3cret\n</user>")
    store = DirectoryStore(name="local", root=tmp_path, rule=Faulty())

    assert await ids(store) == await ids(store) == ["a"]
    assert [each.version for each in await store.list_versions("v")] == ["1"]

    told = [vars(record) for record in caplog.records]
    assert {each["type"] for each in told} == {"ZeroDivisionError"}
    assert len(told) == 2
    assert "s3cret" not in str(told)
    await store.aclose()


async def test_what_may_be_read_again() -> None:
    """What could not be read is listed as soon as it can be, whatever else has changed."""
    with open_folder() as folder:
        (folder / "greet.prompt").write_text("---\nconfig: {}\n---\n{{> common/footer}}")
        (folder / "common").mkdir()
        (folder / "common" / "_footer.prompt").write_text("Bye")
        os.utime(folder / "greet.prompt", (LONG_AGO, LONG_AGO))
        store = DirectoryStore(name="local", root=folder)
        (folder / "common").chmod(0)
        with as_nobody():
            before = await ids(store)
        (folder / "common").chmod(0o755)
        after = await ids(store)
        await store.aclose()

    assert (before, after) == ([], ["greet"])


async def test_changes(store: DirectoryStore, tmp_path: Path) -> None:
    """A list is of what is there now: written, mended, broken or removed since the last one."""
    assert len(await ids(store)) == 3
    write_prompt(tmp_path, "new", "nonsense")
    assert len(await ids(store)) == 3
    path = write_prompt(tmp_path, "new", HELLO)
    assert len(await ids(store)) == 4
    path.write_text("nonsense")
    (tmp_path / "c.prompt").unlink()
    assert await ids(store) == ["team/Apple", "team/b"]


async def test_reads_what_it_has_to(store: DirectoryStore) -> None:
    """Once all files are known, those that did not change are read for their page alone."""
    with files_opened() as first:
        await ids(store, ListQuery(size=1))
    with files_opened() as again:
        await ids(store, ListQuery(size=1))

    assert len(prompt_files(first)) == 4
    assert prompt_files(again) == ["c.prompt"]


def prompt_files(paths: list[str]) -> list[str]:
    return [os.path.basename(path) for path in paths if path.endswith(".prompt")]


async def test_nothing_outside(store: DirectoryStore, tmp_path: Path) -> None:
    """Links are listed where they are served: inside, each folder once; loops end."""
    outside = tmp_path.parent / "outside"
    write_prompt(outside, "secret", HELLO)
    (tmp_path / "away").symlink_to(outside)
    (tmp_path / "away.prompt").symlink_to(outside / "secret.prompt")
    (tmp_path / "gone.prompt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "team" / "up").symlink_to(tmp_path)
    (tmp_path / "zz").symlink_to(tmp_path / "team")
    (tmp_path / "linked.prompt").symlink_to(tmp_path / "c.prompt")

    with files_opened() as files:
        assert await ids(store) == ["c", "linked", "team/Apple", "team/b"]

    assert all("secret" not in name for name in files)


async def test_what_is_no_prompt(store: DirectoryStore, tmp_path: Path) -> None:
    """Hidden files, other files, pipes and names that no id can be are not listed."""
    write_prompt(tmp_path, ".hidden", HELLO)
    write_prompt(tmp_path, ".git/x", HELLO)
    write_prompt(tmp_path, "50%", HELLO)
    (tmp_path / ".prompt").write_text("")
    (tmp_path / "folder.prompt").mkdir()
    (tmp_path / "c.txt").write_text("")
    os.mkfifo(tmp_path / "pipe.prompt")
    (tmp_path / os.fsdecode(b"\xff.prompt")).write_text(HELLO)

    assert await ids(store) == ["c", "team/Apple", "team/b"]


async def test_volume(tmp_path: Path) -> None:
    """A ConfigMap's prompts are listed under the names that it gives them, after an update, too."""
    text = f"---\nmodel: m\n---\n{HELLO}"
    volume = Volume(tmp_path / "volume", {"a.prompt": text, "team/b.prompt": text})
    store = DirectoryStore(name="local", root=tmp_path / "volume")
    assert await ids(store) == ["a", "team/b"]

    volume.update({"a.prompt": text, "team/c.prompt": text})

    assert await ids(store) == ["a", "team/c"]
    await store.aclose()


async def test_bound(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No more prompts are listed than may be, and the log says that there are more."""
    monkeypatch.setattr(index, "MAX_PROMPTS", 2)
    caplog.set_level(logging.WARNING)

    page = await store.list_prompts(ListQuery(size=1))

    assert page.total == 2
    assert [vars(record)["listed"] for record in caplog.records] == [2]


async def test_one_prompt(store: DirectoryStore) -> None:
    """A prompt has one version and no environment; one that is not there has neither."""
    (version,) = await store.list_versions("c")

    assert (version.id, await store.list_environments("c")) == ("c", ())
    for listing in (store.list_versions("nowhere"), store.list_environments("nowhere")):
        with pytest.raises(ResolverError) as caught:
            await listing
        assert caught.value.reason == "PROMPT_NOT_FOUND"


async def test_root_is_gone(tmp_path: Path) -> None:
    """A directory that is not there is a store that does not answer, not an empty one."""
    store = DirectoryStore(name="local", root=tmp_path / "later")

    with pytest.raises(StoreError) as caught:
        await store.list_prompts(ListQuery())

    assert caught.value.reason == "STORE_UNAVAILABLE"


async def test_walks_do_not_pile_up(store: DirectoryStore, tmp_path: Path) -> None:
    """However many lists are asked for at once, one thread makes them."""
    crowded = DirectoryStore(name="crowded", root=tmp_path)

    pages = await asyncio.gather(*(ids(crowded) for _ in range(20)))

    assert pages == [["c", "team/Apple", "team/b"]] * 20
    assert sum(thread.name.startswith("list-crowded") for thread in threading.enumerate()) == 1
    await crowded.aclose()
