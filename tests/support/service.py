"""The service, run for a test: in this process, or as the process that users start."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from prompt_resolver import AsyncPromptResolverClient
from prompt_resolver_server.app import serve
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.doors import Addresses
from prompt_resolver_server.settings import Loaded

FREE_PORTS = {
    "PROMPT_RESOLVER_GRPC_ADDRESS": "127.0.0.1:0",
    "PROMPT_RESOLVER_HTTP_ADDRESS": "127.0.0.1:0",
    "PROMPT_RESOLVER_ADMIN_ADDRESS": "127.0.0.1:0",
}


@dataclass(frozen=True)
class RunningService:
    """A service that answers calls."""

    client: AsyncPromptResolverClient
    address: str
    admin_grpc_address: str
    admin_url: str
    http_url: str

    async def metrics(self) -> str:
        return await self.get("/metrics")

    async def get(self, path: str) -> str:
        """Return what the admin door has at a path."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.admin_url}{path}") as page,
        ):
            return await page.text()

    async def metric(self, sample: str) -> float:
        """Return the value of a sample by its name and labels, 0 where it is absent."""
        for line in (await self.metrics()).splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def at_rest(self) -> None:
        """Wait until no call runs: callers may have their answer a moment before it has ended."""
        async with asyncio.timeout(10):
            while _is_busy(await self.metrics()):
                pass


def _is_busy(page: str) -> bool:
    samples = [line.rpartition(" ") for line in page.splitlines()]

    def add_up(family: str) -> float:
        return sum(float(value) for name, _, value in samples if name.startswith(family))

    running = add_up("prompt_resolver_calls_inflight{")
    return running > 0 or add_up("grpc_server_started_total{") > add_up(
        "grpc_server_handled_total{"
    )


@asynccontextmanager
async def running_service(
    folder: Path, config: str = "", environ: Mapping[str, str] | None = None
) -> AsyncIterator[RunningService]:
    """Serve a configuration, whose relative paths start at the folder, in this process."""
    path = folder / "config.yaml"
    path.write_text(config)
    async with serving_file(path, environ) as running:
        yield running


@asynccontextmanager
async def serving_file(
    path: Path | None, environ: Mapping[str, str] | None = None
) -> AsyncIterator[RunningService]:
    """Serve the configuration of a file, or the defaults, in this process."""
    async with serving(load_configuration(path, {**FREE_PORTS, **(environ or {})})) as running:
        yield running


@asynccontextmanager
async def serving(loaded: Loaded) -> AsyncIterator[RunningService]:
    """Serve a configuration that has been read, in this process."""
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()

    async def on_ready(doors: Addresses) -> None:
        ready.set_result(doors)

    task = asyncio.create_task(serve(loaded, version="test", on_ready=on_ready))

    def tell_failure(ended: asyncio.Task[None]) -> None:
        if not ready.done():
            ready.set_exception(ended.exception() or AssertionError("the service ended"))

    task.add_done_callback(tell_failure)
    doors = await ready
    try:
        async with AsyncPromptResolverClient(str(doors.grpc), wait_for_ready=False) as client:
            yield RunningService(
                client=client,
                address=str(doors.grpc),
                admin_grpc_address=str(doors.admin_grpc or ""),
                admin_url=f"http://{doors.admin}",
                http_url=f"http://{doors.http}",
            )
    finally:
        has_ended = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Whatever a test misses then, such as its port, is missing for this reason.
        assert not has_ended, "the service ended while it was tested"


@dataclass(frozen=True)
class ServiceProcess:
    """The process that `prompt-resolver serve` is."""

    process: subprocess.Popen[str]
    ready_line: str
    log_file: Path

    @property
    def address(self) -> str:
        return self.door("grpc")

    def door(self, name: str) -> str:
        doors = dict(door.split("=", 1) for door in self.ready_line.split()[1:])
        return doors[name]

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM, and return the exit code and what was logged."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30), self.log_file.read_text()


def run_cli(
    *arguments: str, environ: Mapping[str, str] = FREE_PORTS, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "prompt_resolver.cli", *arguments],
        env={**os.environ, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def service_process(
    *arguments: str, environ: Mapping[str, str] | None = None, below: Sequence[str] = ()
) -> Iterator[ServiceProcess]:
    """Run `prompt-resolver serve` as a process of its own, on free ports.

    `below` is the beginning of a command that becomes the one that follows it.
    """
    # The log goes to a file: nobody reads it while the service runs, and a full pipe would stop it.
    with (
        tempfile.NamedTemporaryFile("w") as log,
        subprocess.Popen(
            [*below, sys.executable, "-m", "prompt_resolver.cli", "serve", *arguments],
            env={**os.environ, **FREE_PORTS, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        log_file = Path(log.name)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("ready "), f"{line}{log_file.read_text()}"
            yield ServiceProcess(process, line.strip(), log_file)
        finally:
            process.kill()


@asynccontextmanager
async def running_process(
    folder: Path,
    config: str,
    environ: Mapping[str, str] | None = None,
    below: Sequence[str] = (),
) -> AsyncIterator[tuple[RunningService, ServiceProcess]]:
    """Serve a configuration as `running_service` does, but as a process of its own."""
    path = folder / "config.yaml"
    path.write_text(config)
    with service_process("--config", str(path), environ=environ, below=below) as process:
        async with AsyncPromptResolverClient(process.address, wait_for_ready=False) as client:
            running = RunningService(
                client=client,
                address=process.address,
                admin_grpc_address="",
                admin_url=f"http://{process.door('admin')}",
                http_url=f"http://{process.door('http')}",
            )
            yield running, process
