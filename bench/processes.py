"""Processes of the bench: where they run, what they use, and that they end."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_START_S = 60.0
_END_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")

# No proxies, no keys: what is measured is the same wherever it is measured.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")


class StartError(Exception):
    """A process that did not become ready; says what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that is ready; `address` is where, and `seconds` how long that took.

    `http` is where a process has a second door.
    """

    pid: int
    address: str
    http: str
    seconds: float

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> dict[str, float]:
        """Return the memory in use: `rss`, and `pss`, which shares what is shared."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        sizes = {line.split()[0].rstrip(":"): line.split()[1] for line in text.splitlines()[1:]}
        return {name.lower(): int(sizes[name]) * 1024 / 1e6 for name in ("Rss", "Pss")}


@contextmanager
def on_cpu(number: int) -> Iterator[None]:
    """Stay on one of this process' CPUs, the first or the last; what is started here does, too."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CPUS[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVERS, LOAD = 0, -1
"""Where servers run, and where the load and the upstream do."""


@asynccontextmanager
async def running(
    *command: str,
    cpu: int = SERVERS,
    environ: Mapping[str, str] | None = None,
    port: int | None = None,
) -> AsyncIterator[Process]:
    """Run a command until the context is left.

    It is ready once it prints a line that begins with `ready`, or listens on the port. Raises
    `StartError`.
    """
    kept = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        with on_cpu(cpu):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env={**kept, **(environ or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if port is None else log,
                stderr=log,
            )
        try:
            try:
                async with asyncio.timeout(_START_S):
                    doors = await (_read_ready(process) if port is None else _listens(port))
            except (TimeoutError, OSError):
                doors = {}
            if not doors:
                log.seek(0)
                raise StartError(log.read().decode(errors="replace")[-2000:])
            yield Process(
                pid=process.pid,
                address=doors["grpc"],
                http=doors.get("http", ""),
                seconds=time.perf_counter() - started,
            )
        finally:
            await _end(process)


async def _read_ready(process: asyncio.subprocess.Process) -> Mapping[str, str]:
    """Return the doors of the line that tells of readiness; none if there is no such line."""
    assert process.stdout is not None
    words: Sequence[str] = (await process.stdout.readline()).decode().split()
    if words[:1] != ["ready"]:
        return {}
    # The bench's own servers have one address, and no name for it.
    doors = (word.rpartition("=") for word in words[1:])
    return {name or "grpc": address for name, _, address in doors}


async def _listens(port: int) -> Mapping[str, str]:
    while True:
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return {"grpc": f"127.0.0.1:{port}"}
        await asyncio.sleep(0.1)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
