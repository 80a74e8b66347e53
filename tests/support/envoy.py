"""Envoy, run with the configuration that is shipped, before a server of a test's."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import aiohttp

from tests.support.building import ROOT

ENVOY = ROOT / ".venv-envoy" / "bin" / "envoy"
CONFIG = ROOT / "deploy" / "envoy" / "envoy.yaml"
_ADMIN = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}"


@dataclass(frozen=True)
class RunningEnvoy:
    """An Envoy that takes calls at `url`."""

    url: str
    admin_url: str

    async def stat(self, name: str) -> int:
        """Return what Envoy counts under a name."""
        text = await _get(f"{self.admin_url}/stats?filter=^{name}$")
        return int(text.rpartition(": ")[2])


def with_bridge(config: str) -> str:
    """Return the configuration with its filter for Connect's protocol, which is a comment."""
    before, bridge, after = config.partition("# - name: envoy.filters.http.connect_grpc_bridge")
    assert bridge
    lines = after.split("\n", 3)
    uncommented = [line.replace("# ", "", 1) for line in lines[:3]]
    return before + bridge.removeprefix("# ") + "\n".join([*uncommented, *lines[3:]])


def configure(config: str, *, server: str, origin: str) -> str:
    """Return the configuration for a server and the pages of an origin, on a free port."""
    changes = {
        "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: 0",
        "port_value: 50051": f"port_value: {server.rpartition(':')[2]}",
        "https://app.example": origin,
    }
    for said, meant in changes.items():
        assert config.count(said) == 1
        config = config.replace(said, meant)
    return config


@asynccontextmanager
async def running_envoy(folder: Path, config: str) -> AsyncIterator[RunningEnvoy]:
    """Run Envoy, once it takes calls, until the context ends."""
    path, admin, log = folder / "envoy.yaml", folder / "admin", folder / "envoy.log"
    path.write_text(config)
    with log.open("w") as output:
        command = [str(ENVOY), "--config-path", str(path), "--config-yaml", _ADMIN]
        command += ["--admin-address-path", str(admin), "--use-dynamic-base-id"]
        command += ["--concurrency", "1", "--log-level", "error"]
        # Not by the event loop, whose way to start a process gRPC's threads may crash.
        process = await asyncio.to_thread(
            subprocess.Popen, command, stdout=output, stderr=output, text=True
        )
        try:
            found = asyncio.to_thread(_find_addresses, process, admin, log)
            yield RunningEnvoy(*await asyncio.wait_for(found, 30))
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _find_addresses(process: subprocess.Popen[str], admin: Path, log: Path) -> tuple[str, str]:
    """Return where calls are taken, once they are, and where Envoy is asked about itself."""
    while process.poll() is None:
        if not admin.exists():
            continue
        admin_url = f"http://{admin.read_text()}"
        # Until it is ready it says so with a status of 503.
        with suppress(OSError):
            with urlopen(f"{admin_url}/ready"):
                pass
            with urlopen(f"{admin_url}/listeners?format=json") as page:
                listeners = json.load(page).get("listener_statuses", [])
            for listener in listeners:
                port = listener["local_address"]["socket_address"]["port_value"]
                # It has its port before it listens there.
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return f"http://127.0.0.1:{port}", admin_url
    raise AssertionError(log.read_text())


async def _get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, raise_for_status=True) as page:
        return await page.text()
