"""The `directory` store serves what is below its root, as it is now, and nothing else."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.directory.store import DirectoryStore
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


async def test_file_that_cannot_be_read(store: DirectoryStore, root: Path) -> None:
    """A file that is there and cannot be read is a failure of the store, not an absence."""
    (root / "a" / "b c.d.prompt").chmod(0)

    with as_nobody():
        assert await reason_for(store, "a/b c.d") == "STORE_UNAVAILABLE"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user whom permissions stop, as root is not one."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


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
