"""One worker: the process that renders, as this one sees it."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import prompt_resolver_server

from ..sandbox.protocol import HEADER, MAX_FRAME

_START_S = 30.0
"""How long a worker may take to be ready, on a machine that has no time for it."""

_LOOK_S = 0.001

# `-I` and `-S`: nothing of the environment and no file that a `.pth` names has a say in what it is.
_PROGRAM = """
import json, runpy, sys
sys.path[:] = json.loads(sys.argv.pop(1))
runpy.run_module("prompt_resolver_server.sandbox", run_name="__main__")
"""


class WorkerGoneError(Exception):
    """The worker ended before it answered, or answered what is no answer."""


class Worker:
    """A worker that is ready for jobs, one at a time."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, *, memory_bytes: int, cpu_s: int) -> "Worker":
        """Return a new worker. Raises `OSError` and `WorkerGoneError` where there can be none."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await _start_process(theirs, memory_bytes, cpu_s)
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_FRAME)
        except BaseException:
            ours.close()
            raise
        worker = cls(process, reader, writer)
        try:
            async with asyncio.timeout(_START_S):
                await worker._receive()
        except TimeoutError:
            await worker.end()
            raise WorkerGoneError from None
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def ask(self, frame: bytes) -> bytes:
        """Return the answer to a job. Raises `WorkerGoneError`.

        A worker whose answer nobody waited for is of no more use.
        """
        try:
            self._writer.write(HEADER.pack(len(frame)) + frame)
            await self._writer.drain()
        except OSError:
            raise WorkerGoneError from None
        return await self._receive()

    async def end(self) -> None:
        """Kill the process, whatever it does, and leave nothing of it behind."""
        self._process.kill()
        self._writer.close()
        await asyncio.shield(self._wait())

    async def _wait(self) -> None:
        # It is over in a moment, and at the interpreter's end there are no more threads.
        while self.is_alive:  # noqa: ASYNC110  # of a process nobody tells
            await asyncio.sleep(_LOOK_S)

    async def _receive(self) -> bytes:
        try:
            size = HEADER.unpack(await self._reader.readexactly(HEADER.size))[0]
            if size > MAX_FRAME:
                raise WorkerGoneError
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            raise WorkerGoneError from None


async def _start_process(
    channel: socket.socket, memory_bytes: int, cpu_s: int
) -> subprocess.Popen[bytes]:
    # A process is started in a moment, but not in none.
    starting = asyncio.ensure_future(asyncio.to_thread(_spawn, channel, memory_bytes, cpu_s))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # What nobody will hear of any more must not stay.
        process = await starting
        process.kill()
        process.wait()
        raise


def _spawn(channel: socket.socket, memory_bytes: int, cpu_s: int) -> subprocess.Popen[bytes]:
    root = str(Path(prompt_resolver_server.__file__).parents[1])
    path = json.dumps([root, *(each for each in sys.path if each)])
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, path, str(memory_bytes), str(cpu_s)]
    return subprocess.Popen(  # noqa: S603  # all of it is ours
        command,
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        # What is typed at a terminal to end this process is not for the worker.
        start_new_session=True,
    )
