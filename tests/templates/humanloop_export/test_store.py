"""The `humanloop_export` store serves what the export says, as it is now, and nothing else."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.formats.documents import encode_template
from prompt_resolver_server.templates.humanloop_export.store import HumanloopExportStore
from tests.support.humanloop import HumanloopApi, running_humanloop
from tests.support.humanloop_export import age, two_prompts, write_deployments, write_export
from tests.support.opened import files_opened, listeners
from tests.templates.humanloop.test_store import make_store


@pytest.fixture
def api() -> HumanloopApi:
    """What the export in `folder` is of."""
    return two_prompts()


@pytest.fixture
def folder(tmp_path: Path, api: HumanloopApi) -> Path:
    return write_export(tmp_path / "export", api.prompts.values())


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[HumanloopExportStore]:
    store = HumanloopExportStore(name="old", path=folder)
    yield store
    await store.aclose()


async def failure(store: HumanloopExportStore, ref: PromptRef) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await store.fetch(ref, None)
    return caught.value


@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Hi"])
@pytest.mark.parametrize(
    ("selector", "version", "environment"),
    [
        ({}, "prv_2", "production"),
        ({"version": "prv_1"}, "prv_1", ""),
        ({"environment": "staging"}, "prv_1", "staging"),
        ({"environment": "production"}, "prv_2", "production"),
    ],
)
async def test_selects(
    store: HumanloopExportStore,
    prompt_id: str,
    selector: dict[str, str],
    version: str,
    environment: str,
) -> None:
    """An id or a path means the version that is pinned, deployed there, or deployed by default."""
    template = await store.fetch(PromptRef(id=prompt_id, **selector), None)

    assert (template.id, template.name, template.location) == ("pr_1", "Hi", "Team/Hi")
    assert (template.version, template.environment) == (version, environment)


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (PromptRef(id="pr_none"), "PROMPT_NOT_FOUND"),
        (PromptRef(id="Team"), "PROMPT_NOT_FOUND"),
        (PromptRef(id="files/pr_1"), "PROMPT_NOT_FOUND"),
        (PromptRef(id=".."), "PROMPT_ID_INVALID"),
        (PromptRef(id="pr_1/../pr_2"), "PROMPT_ID_INVALID"),
        (PromptRef(id="pr_1\x00"), "PROMPT_ID_INVALID"),
        (PromptRef(id="pr_\udcff"), "PROMPT_ID_INVALID"),
        (PromptRef(id="pr_1", version=""), "SELECTOR_INVALID"),
        (PromptRef(id="pr_1", version="../file.json"), "VERSION_NOT_FOUND"),
        (PromptRef(id="pr_1", version=".."), "VERSION_NOT_FOUND"),
        (PromptRef(id="pr_1", version="prv_2/"), "VERSION_NOT_FOUND"),
        (PromptRef(id="pr_1", environment="PRODUCTION"), "VERSION_NOT_FOUND"),
    ],
)
async def test_refuses(
    store: HumanloopExportStore, folder: Path, ref: PromptRef, reason: str
) -> None:
    """What is not there, or could not be, is refused, and no file of its name is opened."""
    age(folder)
    await store.fetch(PromptRef(id="pr_2"), None)

    with files_opened() as files:
        error = await failure(store, ref)

    assert error.reason == reason
    assert error.metadata["store"] == "old"
    assert {os.path.basename(name) for name in files if name} <= {"deployments.json"}


async def test_same_as_from_the_api(tmp_path: Path) -> None:
    """A prompt reads the same from an export as from the API that the export was made of."""
    async with running_humanloop() as api:
        api.prompts = two_prompts().prompts
        folder = write_export(tmp_path / "export", api.prompts.values())
        export, remote = HumanloopExportStore(name="s", path=folder), make_store(api.url)
        for ref in (
            PromptRef(id="pr_1"),
            PromptRef(id="Team/Hi"),
            PromptRef(id="pr_1", version="prv_1"),
            PromptRef(id="Team/Hi", environment="staging"),
            PromptRef(id="Other"),
        ):
            read, fetched = await export.fetch(ref, None), await remote.fetch(ref, None)
            assert encode_template(read) == encode_template(fetched)
        ours, theirs = [await each.list_versions("pr_1") for each in (export, remote)]
        assert [without_size(each) for each in ours] == [without_size(each) for each in theirs]
        await export.aclose()
        await remote.aclose()


def without_size(template: Template) -> bytes:
    """Return a template's document, but for its length: a list does not tell that of its items."""
    return encode_template(replace(template, size=0))


async def test_unchanged_tree_is_not_read(store: HumanloopExportStore, folder: Path) -> None:
    """A template whose files have not changed for a while is confirmed by their looks alone."""
    age(folder)
    held = await store.fetch(PromptRef(id="Team/Hi"), None)

    with files_opened() as files:
        confirmed = store.confirms(held)

    assert confirmed
    assert files == []


async def held_for_long(store: HumanloopExportStore, folder: Path, prompt_id: str) -> Template:
    """Fetch a prompt of a tree that was written long ago, so that it could be confirmed."""
    age(folder)
    held = await store.fetch(PromptRef(id=prompt_id), None)
    assert store.confirms(held)
    return held


async def next_text(store: HumanloopExportStore, held: Template, prompt_id: str) -> str:
    """Return what the next call is served."""
    if store.confirms(held):
        return held.messages[0].text
    return (await store.fetch(PromptRef(id=prompt_id), held)).messages[0].text


def swap(folder: Path, other: Path) -> None:
    """Put another folder in the place of one."""
    folder.rename(f"{folder}-before")
    other.rename(folder)


async def test_version_edited_where_it_stands(store: HumanloopExportStore, folder: Path) -> None:
    """A version that is edited in the tree is served by the next call."""
    held = await held_for_long(store, folder, "pr_1")
    path = folder / "files" / "pr_1" / "versions" / "prv_2"
    path.write_text(path.read_text().replace("two", "edited"))

    assert await next_text(store, held, "pr_1") == "edited"


async def test_deployed_anew(store: HumanloopExportStore, folder: Path, api: HumanloopApi) -> None:
    """Another version that is deployed is served by the next call."""
    held = await held_for_long(store, folder, "Team/Hi")
    prompt = api.prompts["pr_1"]
    prompt.deployed["production"] = "prv_1"
    documents = {version: prompt.document(version) for version in prompt.versions}
    write_deployments(folder / "files" / "pr_1", documents)

    assert await next_text(store, held, "Team/Hi") == "one"


async def test_folder_is_swapped(
    store: HumanloopExportStore, folder: Path, api: HumanloopApi
) -> None:
    """An export that takes another's place is served by the next call."""
    held = await held_for_long(store, folder, "Team/Hi")
    api.put("Team/Hi", prompt_id="pr_1", version="prv_3", template="three")
    other = write_export(folder.parent / "next", api.prompts.values())
    age(other)
    swap(folder, other)

    assert await next_text(store, held, "Team/Hi") == "three"


@pytest.mark.parametrize("above", [True, False])
async def test_link_is_swapped(tmp_path: Path, api: HumanloopApi, above: bool) -> None:
    """A link that is given another export is followed by the next call, at the path or below it."""
    first = write_export(tmp_path / "volume" / "1", api.prompts.values())
    api.put("Team/Hi", prompt_id="pr_1", version="prv_3", template="three")
    second = write_export(tmp_path / "volume" / "2", api.prompts.values())
    link = tmp_path / "link" if above else tmp_path / "volume" / "files"
    link.symlink_to(first if above else "1/files")
    store = HumanloopExportStore(name="old", path=link if above else tmp_path / "volume")
    held = await held_for_long(store, tmp_path / "volume", "Team/Hi")
    new = link.with_name("new")
    new.symlink_to(second if above else "2/files")
    new.rename(link)

    assert await next_text(store, held, "Team/Hi") == "three"
    await store.aclose()


@pytest.mark.parametrize("opened", ["deployments.json", "prv_2"])
async def test_swap_in_the_middle_of_a_read(
    store: HumanloopExportStore, folder: Path, api: HumanloopApi, opened: str
) -> None:
    """An export that is replaced while a prompt is read is read as it then is."""
    await held_for_long(store, folder, "Other")
    del api.prompts["pr_1"].versions["prv_2"]
    api.put("Team/Hi", prompt_id="pr_1", version="prv_3", template="three")
    other = write_export(folder.parent / "next", api.prompts.values())

    def swap_once(name: str) -> None:
        if name.endswith(opened):
            listeners.remove(swap_once)
            swap(folder, other)

    listeners.append(swap_once)
    template = await store.fetch(PromptRef(id="Team/Hi"), None)

    assert swap_once not in listeners
    assert template.messages[0].text == "three"


async def test_prompt_moved_where_it_stands(store: HumanloopExportStore, folder: Path) -> None:
    """A path that was changed in `file.json` is found by the next call for the file."""
    await held_for_long(store, folder, "Team/Hi")
    store._exports._clock = lambda: 1e9
    path = folder / "files" / "pr_1" / "file.json"
    path.write_text(path.read_text().replace("Team/Hi", "Team/Moved"))

    assert (await failure(store, PromptRef(id="Team/Hi"))).reason == "PROMPT_NOT_FOUND"
    assert (await store.fetch(PromptRef(id="Team/Moved"), None)).id == "pr_1"


async def test_removed_and_added(
    store: HumanloopExportStore, folder: Path, api: HumanloopApi
) -> None:
    """A file that has gone is not found, and one that has come is."""
    await held_for_long(store, folder, "Team/Hi")
    shutil.rmtree(folder / "files" / "pr_1")
    api.put("New", prompt_id="pr_3", template="new")
    write_export(folder, [api.prompts["pr_3"]])

    assert (await failure(store, PromptRef(id="Team/Hi"))).reason == "PROMPT_NOT_FOUND"
    assert (await store.fetch(PromptRef(id="New"), None)).id == "pr_3"


async def test_export_that_is_gone(store: HumanloopExportStore, folder: Path) -> None:
    """An export that is not there is a store that is down, and no prompt is taken for absent."""
    held = await held_for_long(store, folder, "pr_1")
    os.rename(folder, f"{folder}-elsewhere")

    assert not store.confirms(held)
    assert (await failure(store, PromptRef(id="pr_1"))).reason == "STORE_UNAVAILABLE"


async def test_index_is_built_once(store: HumanloopExportStore, folder: Path) -> None:
    """However many ask at once, each `file.json` is read once, and by one thread."""
    age(folder)

    with files_opened() as files:
        templates = await asyncio.gather(
            *(store.fetch(PromptRef(id="pr_1"), None) for _ in range(20))
        )

    assert {template.version for template in templates} == {"prv_2"}
    assert sum(name.endswith("file.json") for name in files) == 2
    assert sum(thread.name.startswith("index-old") for thread in threading.enumerate()) == 1


@pytest.mark.timed
async def test_files_that_are_not_at_hand(folder: Path) -> None:
    """Files of a volume that may hang are looked at in threads alone, and read if they differ."""
    age(folder)
    store = HumanloopExportStore(name="old", path=folder, at_hand=lambda _: False)
    ref = PromptRef(id="Team/Hi")
    first = await store.fetch(ref, None)

    with files_opened() as files:
        confirmed = store.confirms(first)
        same = await store.fetch(ref, first)
    version = folder / "files" / "pr_1" / "versions" / "prv_2"
    version.write_text(version.read_text().replace("two", "edited"))
    edited = await store.fetch(ref, first)
    await store.aclose()

    assert (confirmed, same, files) == (False, first, [])
    assert edited.messages[0].text == "edited"


async def test_volume_that_hangs(folder: Path) -> None:
    """Files that hang have calls fail, and take none of the threads that others wait in."""
    answers = threading.Event()

    def hang(name: str) -> None:
        if name.startswith(str(folder)):
            answers.wait()

    store = HumanloopExportStore(name="old", path=folder, timeout_s=0.2)
    listeners.append(hang)
    try:
        async with asyncio.timeout(10):
            refs = [PromptRef(id=f"pr_{number}") for number in range(40)]
            asked = [asyncio.create_task(failure(store, ref)) for ref in refs]
            await asyncio.sleep(0)
            elsewhere = await asyncio.to_thread(lambda: "done")
            reasons = {error.reason for error in await asyncio.gather(*asked)}
    finally:
        listeners.remove(hang)
        answers.set()
        await store.aclose()

    assert (elsewhere, reasons) == ("done", {"STORE_UNAVAILABLE"})
