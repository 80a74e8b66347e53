"""What a call sees of a directory is of one moment, however often its files are replaced."""

import asyncio
import os
from pathlib import Path
from threading import Event

import pytest

from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.directory.reading import Reading, read_at_once
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.opened import listeners
from tests.support.prompts import write_prompt
from tests.support.volume import Volume

SWAPS = 200


def generation(number: int) -> dict[str, str]:
    """Return the files of a volume, all of which tell the same number."""
    text = f"---\nconfig: {{seed: {number}}}\n---\n{{{{> word}}}}"
    return {
        "desk.deployments.yaml": f"default: live\nenvironments: {{live: v{number}}}\n",
        f"desk.versions/v{number}.prompt": text,
        "_word.prompt": f"word {number}",
        "ids.yaml": f"pr_{number}: desk\n",
        f"only{number}.prompt": text,
    }


def numbers(template: Template) -> tuple[str, object, str]:
    """Return what a template tells of its generation: in its version, its file and its partial."""
    word = template.partials["word"].removeprefix("word ")
    return (template.version.removeprefix("v"), template.parameters.seed, word)


def test_swap_between_two_files(tmp_path: Path) -> None:
    """A volume that is replaced between two files of a prompt is read as it then is."""
    volume = Volume(tmp_path, generation(1))
    store = DirectoryStore(name="local", root=tmp_path)

    def swap(name: str) -> None:
        if name.endswith("desk.deployments.yaml"):
            listeners.remove(swap)
            volume.update(generation(2))

    listeners.append(swap)
    template = asyncio.run(store.fetch(PromptRef(id="desk"), None))

    assert swap not in listeners
    assert numbers(template) == ("2", 2, "2")


async def test_swap_between_two_prompts_of_a_list(tmp_path: Path) -> None:
    """A list is of one generation, even if the volume is replaced while it is made."""
    volume = Volume(tmp_path, generation(1))
    store = DirectoryStore(name="local", root=tmp_path)

    def swap(name: str) -> None:
        if name.endswith("only1.prompt"):
            listeners.remove(swap)
            volume.update(generation(2))

    listeners.append(swap)
    page = await store.list_prompts(ListQuery())
    await store.aclose()

    assert swap not in listeners
    assert [(each.id, each.parameters.seed) for each in page.templates] == [
        *(("desk", 2), ("only2", 2)),
    ]


async def test_swaps_under_load(tmp_path: Path) -> None:
    """While a volume is replaced all the time, no call fails, and none mixes two generations."""
    volume = Volume(tmp_path, generation(0))
    store = DirectoryStore(name="local", root=tmp_path)
    ended = Event()

    def swap() -> None:
        for number in range(1, SWAPS):
            volume.update(generation(number))
        ended.set()

    async def call() -> list[Template]:
        seen = []
        held = None
        while not ended.is_set():
            held = await store.fetch(PromptRef(id="desk"), held)
            seen.append(held)
        return seen

    swapping = asyncio.create_task(asyncio.to_thread(swap))
    seen = await asyncio.gather(*(call() for _ in range(4)))
    await swapping
    last = await store.fetch(PromptRef(id=f"pr_{SWAPS - 1}"), None)

    assert numbers(last) == (str(SWAPS - 1), SWAPS - 1, str(SWAPS - 1))
    for templates in seen:
        told = [numbers(template) for template in templates]
        assert all(version == str(seed) == word for version, seed, word in told)
        order = [int(version) for version, _, _ in told]
        assert order == sorted(order)


async def test_root_that_is_a_link(tmp_path: Path) -> None:
    """A root that is a link to a checkout is served as the checkout that it leads to."""
    for name in ("one", "two"):
        write_prompt(tmp_path / name, "greet", f"<user>\n{name}\n</user>")
        os.utime(tmp_path / name / "greet.prompt", (1_000_000_000, 1_000_000_000))
    link = tmp_path / "current"
    link.symlink_to("one")
    store = DirectoryStore(name="local", root=link)
    first = await store.fetch(PromptRef(id="greet"), None)
    confirmed = store.confirms(first)
    link.unlink()
    link.symlink_to("two")

    assert (confirmed, store.confirms(first)) == (True, False)
    second = await store.fetch(PromptRef(id="greet"), first)
    assert [each.messages[0].text for each in (first, second)] == ["one", "two"]


def test_files_that_never_rest(tmp_path: Path) -> None:
    """Files that are replaced during every reading are a store that does not answer."""
    path = tmp_path / "a"

    def read(reading: Reading) -> None:
        path.write_text("x")
        reading.read("a", max_bytes=1)
        path.unlink()

    with pytest.raises(StoreError) as caught:
        read_at_once(Root(tmp_path, store="local"), read, store="local", patience_s=0.02)

    assert caught.value.reason == "STORE_UNAVAILABLE"


def test_what_appears_is_noticed(tmp_path: Path) -> None:
    """What was not there when it was looked for is part of what is proved."""
    reading = Reading(Root(tmp_path, store="local"), store="local")
    found = [
        reading.read("a", max_bytes=1),
        reading.names("folder"),
        reading.read("\0", max_bytes=1),
    ]
    held = reading.looks.hold()
    (tmp_path / "folder").mkdir()

    assert (found, held) == ([None, (), None], True)
    assert not reading.looks.hold()
