"""Pulls for tests: as the process that users start, or in this one, from a store of the test's."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prompt_resolver_server.commands.pull.claims import Claims
from prompt_resolver_server.commands.pull.collected import Collector, Selection
from prompt_resolver_server.commands.pull.copier import Copier
from prompt_resolver_server.commands.pull.journal import Journal
from prompt_resolver_server.commands.pull.progress import Progress
from prompt_resolver_server.commands.pull.retries import Retries
from prompt_resolver_server.commands.pull.tree import Tree
from prompt_resolver_server.templates.store import TemplateStore
from tests.support.humanloop import KEY, HumanloopApi

NOTHING: Mapping[str, str] = {}
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """How a pull ended."""

    code: int
    out: str
    err: str


def stock(api: HumanloopApi, count: int = 5) -> None:
    """Give the store prompts with three versions and two environments each."""
    for number in range(count):
        for version, to in (("prv_1", "production"), ("prv_2", "staging"), ("prv_3", "")):
            api.put(
                f"Shop/Desk {number}",
                prompt_id=f"pr_{number}",
                version=version,
                to=to,
                template=[{"role": "user", "content": f"{version} of {number}: {{{{text}}}}"}],
                temperature=0.5,
            )


def environ(api: HumanloopApi) -> dict[str, str]:
    return {"HUMANLOOP_API_KEY": KEY, "HUMANLOOP_BASE_URL": api.url}


@asynccontextmanager
async def pulling(
    *arguments: str, environ: Mapping[str, str] = NOTHING, stderr: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `prompt-resolver pull`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prompt_resolver.cli", "pull", *arguments),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pull(*arguments: str, environ: Mapping[str, str] = NOTHING) -> Done:
    """Run `prompt-resolver pull` to its end."""
    async with pulling(*arguments, environ=environ) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def make_copier(
    store: TemplateStore,
    root: Path,
    *,
    name: str = "told",
    selection: Selection | None = None,
    retries: Retries | None = None,
    kind: type[Tree] = Tree,
    force: bool = False,
    now: datetime = WHEN,
) -> Copier:
    """Return a copier from a store into a directory."""
    root.mkdir(exist_ok=True)
    retries = retries or Retries(draw=lambda: 0.0)
    journal = Journal(root, task="test", now=now)
    return Copier(
        name=name,
        store=store,
        collector=Collector(store, selection or Selection(), retries),
        retries=retries,
        root=root,
        journal=journal,
        claims=Claims(name=name, journal=journal, force=force),
        tree=kind(root, journal, force=force),
        progress=Progress(),
    )


def read_tree(root: Path) -> dict[str, bytes]:
    """Return the content of all files below a directory, by their paths."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
