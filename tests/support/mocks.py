"""Mocks of providers' APIs that others wrote, each run as a process of its own."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.http import HttpDoor

ROOT = Path(__file__).parents[2]
LLMOCK = ROOT / ".venv-llmock" / "bin" / "llmock"
AIMOCK = ROOT / "tests" / "providers" / "aimock"

# On port 0 it listens nowhere: that is what was asked for.
_ADDRESS = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")


@asynccontextmanager
async def running_llmock() -> AsyncIterator[HttpDoor]:
    """Serve llmock on a free port."""
    async with _running(str(LLMOCK), "serve", "--port", "0") as door:
        yield door


@asynccontextmanager
async def running_aimock(folder: Path, fixtures: str) -> AsyncIterator[HttpDoor]:
    """Install aimock in a folder, and serve it with these fixtures on a free port."""
    for name in (".npmrc", "package.json", "package-lock.json"):
        shutil.copy(AIMOCK / name, folder)
    install = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    await asyncio.to_thread(subprocess.run, install, cwd=folder, check=True)
    (folder / "fixtures.json").write_text(fixtures)
    command = folder / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    options = ("--port", "0", "--fixtures", str(folder / "fixtures.json"))
    async with _running("node", str(command), *options) as door:
        yield door


@asynccontextmanager
async def _running(*command: str) -> AsyncIterator[HttpDoor]:
    # Not by the event loop, whose way to start a process gRPC's threads may crash.
    process = await asyncio.to_thread(
        subprocess.Popen, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    drained = None
    try:
        url = await asyncio.to_thread(_find_address, process)
        # What it logs is of no interest, but a full pipe would stop it.
        drained = asyncio.create_task(asyncio.to_thread(process.communicate))
        yield HttpDoor(url)
    finally:
        process.terminate()
        await (drained or asyncio.to_thread(process.communicate))


def _find_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if found := _ADDRESS.search(line):
            return found[0]
        lines.append(line)
    raise AssertionError("".join(lines))
