"""The shared cache is there where it is configured, and nothing of it where it is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.assembly.trust import build_tls
from prompt_resolver_server.settings import ConfigError
from tests.support.service import running_service

REDIS = "cache: {redis: {url: 'redis://127.0.0.1:1'}}"


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is missing, the start is refused, and says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    told = r"config.yaml:1: cache.redis: .* install prompt-resolver\[server,redis\]"
    with pytest.raises(ConfigError, match=told):
        async with running_service(tmp_path, REDIS):
            pass

    loaded = load_configuration(tmp_path / "config.yaml", {})
    with pytest.raises(ConfigError, match=told):
        await build_report(loaded, build_tls(loaded))


@pytest.mark.parametrize(("config", "imported"), [("", "False"), (REDIS, "True")])
def test_costs_nothing_unless_configured(tmp_path: Path, config: str, imported: str) -> None:
    """The package is imported, and tasks are begun, where something is to be shared."""
    path = tmp_path / "config.yaml"
    path.write_text(config)
    program = f"""
import asyncio, pathlib, sys
from contextlib import AsyncExitStack
from prometheus_client import CollectorRegistry
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.engine import build_resolver
from prompt_resolver_server.metrics import Metrics

async def main():
    async with AsyncExitStack() as stack:
        loaded = load_configuration(pathlib.Path({str(path)!r}), {{}})
        await build_resolver(loaded, Metrics(CollectorRegistry(), version=""), stack)
        print("redis" in sys.modules, len(asyncio.all_tasks()) > 1)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.split() == [imported, imported], done.stderr


async def test_nobody_there(tmp_path: Path) -> None:
    """A service starts and serves without the server that it should share."""
    async with running_service(tmp_path, REDIS) as service:
        served = await service.client.resolve("extract/invoice", variables={"text": "x"})

    assert served.messages
