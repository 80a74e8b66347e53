"""Prometheus' own tools, and a server of a test's own."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.ports import find_port

SERVER, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{rules}']
scrape_configs:
  - {{job_name: resolver, static_configs: [{{targets: ['{target}']}}]}}
"""


def need_prometheus(*, require_all: bool) -> None:
    """Skip the test where there is no Prometheus, unless everything has to be there."""
    if (SERVER is None or PROMTOOL is None) and not require_all:
        pytest.skip("not installed: prometheus")


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """Return what promtool says, which finds no fault."""
    code, said = ask_promtool(*arguments, stdin=stdin)
    assert code == 0, said
    return said


def ask_promtool(*arguments: str | Path, stdin: str = "") -> tuple[int, str]:
    """Return promtool's exit code, and what it says."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes one service every second, and has its rules."""

    url: str

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{path}", params=parameters) as answer,
        ):
            return (await answer.json())["data"]

    async def alert(self, name: str) -> dict[str, Any] | None:
        """Return an alert that is active, or None."""
        alerts = (await self.get("alerts"))["alerts"]
        return next((each for each in alerts if each["labels"]["alertname"] == name), None)

    async def ask(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return what an expression comes to: each series, with its value."""
        data = await self.get("query", query=expr)
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]


@asynccontextmanager
async def running_prometheus(folder: Path, target: str, rules: Path) -> AsyncIterator[Prometheus]:
    """Scrape a service until the context ends."""
    assert SERVER is not None
    config = folder / "prometheus.yaml"
    config.write_text(CONFIG.format(rules=rules, target=target))
    address = f"127.0.0.1:{find_port()}"
    command = [
        SERVER,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    # Not by the event loop, whose way to start a process gRPC's threads may crash.
    process = await asyncio.to_thread(subprocess.Popen, command)
    try:
        server = Prometheus(f"http://{address}")
        async with asyncio.timeout(30):
            await _wait_until_ready(server)
        yield server
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def _wait_until_ready(server: Prometheus) -> None:
    while True:
        try:
            await server.get("status/buildinfo")
        except (aiohttp.ClientError, json.JSONDecodeError, KeyError):
            await asyncio.sleep(0.1)
        else:
            return
