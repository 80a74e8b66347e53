"""The `directory` store serves what is below its root, as it is now, and nothing else."""

import asyncio
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.directory.store import DirectoryStore
from tests.support.nobody import as_nobody, open_folder
from tests.support.opened import files_opened, listeners
from tests.support.prompts import write_prompt
from tests.support.volume import Volume


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    write_prompt(root, "a/b c.d", "<user>\ninside\n</user>")
    write_prompt(tmp_path, "secret", "<user>\noutside\n</user>")
    return root


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(name="local", root=root)


async def fetch(store: DirectoryStore, prompt_id: str, held: Template | None = None) -> Template:
    return await store.fetch(PromptRef(id=prompt_id), held)


def said(text: str) -> str:
    return f"---\nmodel: some-model\nprovider: fake\nendpoint: chat\n---\n<user>\n{text}\n</user>"


async def reason_for(store: DirectoryStore, prompt_id: str) -> str:
    with pytest.raises(ResolverError) as caught:
        await fetch(store, prompt_id)
    return caught.value.reason


async def test_id_is_the_path(store: DirectoryStore) -> None:
    """An id is the path without the ending, dots and spaces included."""
    template = await fetch(store, "a/b c.d")

    assert (template.id, template.name, template.messages[0].text) == ("a/b c.d", "b c.d", "inside")


@pytest.mark.parametrize("prompt_id", ["../secret", "a/../../secret", "/secret", "a/./../x"])
async def test_no_id_leaves_the_root(store: DirectoryStore, prompt_id: str) -> None:
    """An id that would leave the root is malformed, and nothing is opened for it."""
    with files_opened() as files:
        assert await reason_for(store, prompt_id) == "PROMPT_ID_INVALID"

    assert files == []


@pytest.mark.parametrize("absolute", [True, False])
async def test_no_link_leaves_the_root(store: DirectoryStore, root: Path, absolute: bool) -> None:
    """A link to a file or a folder outside is not followed; the file behind it is not opened."""
    outside = root.parent if absolute else Path("..")
    (root / "file.prompt").symlink_to(outside / "secret.prompt")
    (root / "folder").symlink_to(outside)

    with files_opened() as files:
        assert await reason_for(store, "file") == "PROMPT_NOT_FOUND"
        assert await reason_for(store, "folder/secret") == "PROMPT_NOT_FOUND"

    assert not [name for name in files if "secret" in name]


async def test_links_inside_are_followed(tmp_path: Path) -> None:
    """A ConfigMap's links are followed, and their swap to another version is seen."""
    volume = Volume(tmp_path, {"support/greet.prompt": said("first")})
    store = DirectoryStore(name="local", root=tmp_path)
    first = await fetch(store, "support/greet")
    volume.update({"support/greet.prompt": said("second")})

    second = await fetch(store, "support/greet", first)

    assert (first.messages[0].text, second.messages[0].text) == ("first", "second")


async def test_swap_in_the_middle_of_a_read(tmp_path: Path) -> None:
    """A ConfigMap that is replaced between a link and its file is read as it then is."""
    volume = Volume(tmp_path, {"greet.prompt": said("first")})
    store = DirectoryStore(name="local", root=tmp_path)

    def swap(name: str) -> None:
        if name.endswith("greet.prompt"):
            listeners.remove(swap)
            volume.update({"greet.prompt": said("second")})

    listeners.append(swap)
    template = await fetch(store, "greet")

    assert swap not in listeners
    assert template.messages[0].text == "second"


async def test_hidden_files_are_no_prompts(store: DirectoryStore, root: Path) -> None:
    """Names that begin with a dot are not part of the tree."""
    write_prompt(root, ".hidden", "<user>\nx\n</user>")
    write_prompt(root / "..data", "greet", "<user>\nx\n</user>")

    assert await reason_for(store, ".hidden") == "PROMPT_NOT_FOUND"
    assert await reason_for(store, "..data/greet") == "PROMPT_NOT_FOUND"


async def test_what_is_no_file(store: DirectoryStore, root: Path) -> None:
    """A folder, a pipe and a loop of links are no prompts, and nothing of them stays open."""
    (root / "folder.prompt").mkdir()
    os.mkfifo(root / "pipe.prompt")
    (root / "loop.prompt").symlink_to("loop.prompt")
    (root / "dangling.prompt").symlink_to("nowhere")

    # What other tests have left is not to be found in the midst of it.
    gc.collect()
    opened = len(os.listdir("/proc/self/fd"))
    for prompt_id in ("folder", "pipe", "loop", "dangling", "a/b c.d/x"):
        assert await reason_for(store, prompt_id) == "PROMPT_NOT_FOUND"
    assert len(os.listdir("/proc/self/fd")) == opened


def holding(store: DirectoryStore) -> TemplateCache:
    """Return a cache that asks a store with each call, and holds what it said."""
    return TemplateCache(
        sources={"local": Source(store, ttl_s=0, is_remote=False)},
        default_store="local",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )


async def get(cache: TemplateCache, prompt_id: str, *, refresh: bool = False) -> ServedTemplate:
    deadline = asyncio.get_running_loop().time() + 10
    return await cache.get(PromptRef(id=prompt_id), refresh=refresh, deadline=deadline)


def forbid_the_file(root: Path) -> Path:
    """Have a prompt's file be one that may not be read."""
    return root / "a" / "b c.d.prompt"


def forbid_the_folder(root: Path) -> Path:
    """Have a prompt's folder be one that may not be entered."""
    return root / "a"


def forbid_the_versions(root: Path) -> Path:
    """Have a prompt be one whose versions may not be listed."""
    (root / "a" / "b c.d.prompt").unlink()
    versions = root / "a" / "b c.d.versions"
    versions.mkdir()
    return versions


def forbid_a_partial(root: Path) -> Path:
    """Have a prompt be one that includes what is in a folder that may not be entered."""
    (root / "a" / "b c.d.prompt").write_text("---\nconfig: {}\n---\n{{> common/footer}}")
    (root / "common").mkdir()
    return root / "common"


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A root that others may enter, with two prompts in it."""
    with open_folder() as root:
        for name in ("a/b c.d", "good"):
            write_prompt(root, name, "<user>\ninside\n</user>")
        yield root


@pytest.mark.parametrize(
    "forbid", [forbid_the_file, forbid_the_folder, forbid_the_versions, forbid_a_partial]
)
async def test_what_cannot_be_read(forbid: Callable[[Path], Path], open_root: Path) -> None:
    """What cannot be read, or looked for, is a failure of that prompt alone, and no absence."""
    store = DirectoryStore(name="local", root=open_root)
    cache = holding(store)
    forbidden = forbid(open_root)
    forbidden.chmod(0)

    async with aclosing(cache):
        with as_nobody():
            assert await reason_for(store, "a/b c.d") == "STORE_UNAVAILABLE"
            with pytest.raises(ResolverError, match="Permission denied"):
                await get(cache, "a/b c.d")
            assert not cache.is_down("local")
            assert (await fetch(store, "good")).id == "good"
    forbidden.chmod(0o755)


async def test_held_copy_of_what_cannot_be_entered(open_root: Path) -> None:
    """A prompt in a folder that cannot be entered any more is served on, and is not removed."""
    cache = holding(DirectoryStore(name="local", root=open_root))

    async with aclosing(cache):
        with as_nobody():
            first = await get(cache, "a/b c.d")
        (open_root / "a").chmod(0)
        with as_nobody():
            # By a refresh, as the files may have been looked at less than a tenth of a second ago.
            second = await get(cache, "a/b c.d", refresh=True)
        (open_root / "a").chmod(0o755)

    assert (second.template, second.cache, second.stale) == (first.template, "stale", True)


async def test_hint_for_an_ending(store: DirectoryStore) -> None:
    """An id with the file's ending is told how ids are written."""
    with pytest.raises(ResolverError, match=r"ids go without '\.prompt'"):
        await fetch(store, "a/b c.d.prompt")


async def test_unchanged_file_is_not_read(store: DirectoryStore, root: Path) -> None:
    """A file that has not changed for a while is confirmed by its looks alone."""
    path = root / "a" / "b c.d.prompt"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    first = await fetch(store, "a/b c.d")

    with files_opened() as files:
        confirmed = store.confirms(first)

    assert confirmed
    assert files == []


async def test_same_content_is_the_same_template(store: DirectoryStore, root: Path) -> None:
    """A file that was written again with the same content is the same template."""
    first = await fetch(store, "a/b c.d")
    path = root / "a" / "b c.d.prompt"
    path.write_bytes(path.read_bytes())

    assert await fetch(store, "a/b c.d", first) is first


async def test_directory_that_is_gone(store: DirectoryStore, root: Path) -> None:
    """A directory that is not there is a store that is down, and no prompt is taken for absent."""
    held = await fetch(store, "a/b c.d")
    os.rename(root, f"{root}-elsewhere")

    assert not store.confirms(held)
    assert await reason_for(store, "a/b c.d") == "STORE_UNAVAILABLE"


@pytest.mark.timed
async def test_files_that_are_not_at_hand(root: Path) -> None:
    """Files of a volume that may hang are looked at in threads alone, and read if they differ."""
    store = DirectoryStore(name="local", root=root, at_hand=lambda _: False)
    path = root / "a" / "b c.d.prompt"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    first = await fetch(store, "a/b c.d")

    with files_opened() as files:
        confirmed = store.confirms(first)
        same = await fetch(store, "a/b c.d", first)
    path.write_text(path.read_text().replace("inside", "edited"))
    edited = await fetch(store, "a/b c.d", first)

    assert (confirmed, same, files) == (False, first, [])
    assert edited.messages[0].text == "edited"


async def test_volume_that_hangs(root: Path, tmp_path: Path) -> None:
    """A store whose files hang, however many are asked for, has calls fail, and keeps no others."""
    for number in range(40):
        write_prompt(root, f"p{number}", "<user>\nx\n</user>")
    write_prompt(tmp_path / "other", "greet", "<user>\nhello\n</user>")
    answers = Event()

    def hang(name: str) -> None:
        if name.startswith(str(root)):
            answers.wait()

    listeners.append(hang)
    try:
        hanging = DirectoryStore(name="hanging", root=root, timeout_s=0.2)
        async with asyncio.timeout(10):
            asked = [asyncio.create_task(reason_for(hanging, f"p{n}")) for n in range(40)]
            await asyncio.sleep(0)
            other = await fetch(DirectoryStore(name="local", root=tmp_path / "other"), "greet")
            elsewhere = await asyncio.to_thread(lambda: "done")
            reasons = await asyncio.gather(*asked)
            later = await reason_for(hanging, "p1")
    finally:
        listeners.remove(hang)
        answers.set()

    assert (other.id, elsewhere) == ("greet", "done")
    assert {*reasons, later} == {"STORE_UNAVAILABLE"}
    assert (await asyncio.wait_for(once_it_answers(hanging, "p1"), 10)).id == "p1"


async def once_it_answers(store: DirectoryStore, prompt_id: str) -> Template:
    """Return a prompt as soon as the store's volume answers again."""
    while True:
        with suppress(ResolverError):
            return await fetch(store, prompt_id)
        await asyncio.sleep(0)
