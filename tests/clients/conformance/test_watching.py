"""Every client watches prompts, and goes on where it was cut off."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.support.conformance import Scene, running_scene
from tests.support.driver import Answer, Driver
from tests.support.faulty import AGAIN, FIRST_REVISION, FaultyServer
from tests.support.ports import find_port
from tests.support.prompts import write_prompt

SNAPSHOT, UPDATED = "CHANGE_SNAPSHOT", "CHANGE_UPDATED"


def editor(scene: Scene, prompt: str) -> Callable[[], None]:
    """Return what edits a prompt, each time in another way."""
    numbers = iter(range(1_000))

    def edit() -> None:
        write_prompt(scene.prompts, prompt, f"<user>\n{prompt} {next(numbers)}\n</user>")

    return edit


async def editing(watch: "asyncio.Task[Answer]", edit: Callable[[], None]) -> list[tuple[str, str]]:
    """Edit until a watch has been told as much as it waits for, and return what."""
    async with asyncio.timeout(60):
        while not watch.done():
            edit()
            await asyncio.wait({watch}, timeout=0.5)
    return watch.result().told


async def test_watching(driver: Driver, scene: Scene) -> None:
    """A watch is told how its prompt is, and of an edit of its file."""
    edit = editor(scene, "watched")
    edit()

    command = driver.do("watch", prompts=["watched"], messages=2, timeout_ms=60_000)
    told = await editing(asyncio.ensure_future(command), edit)

    assert told == [("watched", SNAPSHOT), ("watched", UPDATED)]


async def test_resumption(driver: Driver) -> None:
    """Cut off, ended, or refused for now, a watch asks for what came after its last event."""
    server = FaultyServer()
    with server.serve() as address:
        await driver.connect(address)
        answer = await driver.do("watch", prompts=["x"], messages=3, timeout_ms=60_000)

    assert answer.told == [("x", UPDATED)] * 3
    assert server.resumed == [0, FIRST_REVISION, *[FIRST_REVISION + 1] * (AGAIN - 2)]


async def test_refused(driver: Driver) -> None:
    """What would be refused again ends a watch."""
    answer = await driver.do("watch", prompts=["../x"], messages=1, timeout_ms=60_000)

    assert answer.failure.reason == "PROMPT_ID_INVALID"


async def test_restarted_server(driver: Driver, tmp_path: Path) -> None:
    """A watch goes on with a server that was restarted, which tells anew how its prompts are."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"127.0.0.1:{find_port()}"}
    async with running_scene(tmp_path, environ=environ) as scene:
        await driver.connect(scene.address)
        command = driver.do("watch", prompts=["greet"], messages=3, timeout_ms=60_000)
        watch = asyncio.ensure_future(command)
        await scene.sent("WatchPrompts", 1)
        await scene.restart()
        await scene.sent("WatchPrompts", 1)
        told = await editing(watch, editor(scene, "greet"))

    assert told == [("greet", SNAPSHOT), ("greet", SNAPSHOT), ("greet", UPDATED)]
