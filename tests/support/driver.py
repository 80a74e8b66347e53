"""Drivers of the clients: programs that make the calls that they are told on standard input.

Each is written with the public API of one client. It reads one command per line, as JSON, and
answers each with a line, in order, until its input ends; messages are in protobuf's JSON form.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from google.protobuf import json_format

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

_LONGEST_LINE = 64 * 1024 * 1024
# What is beside the caller is called directly: a proxy that is not there would show if it is asked.
_PROXIES = {
    **dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9"),
    # Java's proxies are properties, and loopback is excepted unless nothing is to be.
    "JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.nonProxyHosts=",
}
_NO_PROXIES = ("no_proxy", "NO_PROXY", "no_grpc_proxy")


@dataclass(frozen=True)
class DriverCommand:
    """A driver: its client's folder below `clients`, and how it is built and run in there."""

    name: str
    folder: str
    tools: tuple[str, ...]
    build: str
    run: str
    rereads_certificate: bool = True
    """Whether the client shows another certificate once its files have changed."""


DRIVERS = [
    DriverCommand(
        "python",
        "python",
        (),
        "",
        f"{sys.executable} -m conformance.waiting",
        rereads_certificate=False,
    ),
    DriverCommand(
        "python-async",
        "python",
        (),
        "",
        f"{sys.executable} -m conformance.concurrent",
        rereads_certificate=False,
    ),
    DriverCommand("go", "go", ("go",), "go build -o build/ ./...", "build/conformance"),
    DriverCommand(
        "java",
        "java",
        ("mvn", "java"),
        "mvn -q test-compile",
        "java -cp 'target/classes:target/test-classes:target/lib/*'"
        " dev.promptresolver.conformance.Driver",
    ),
    DriverCommand(
        "node",
        "node",
        ("npm", "node"),
        "npm ci && npm run build",
        "node dist/conformance.js",
        rereads_certificate=False,
    ),
]


class Violation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a request, and what is wrong with it."""

    field: str
    description: str


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failed call, as a client tells it."""

    code: str
    message: str = ""
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = {}
    violations: list[Violation] = []
    retry_after_ms: int | None = None


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a driver answers to a command."""

    ok: bool
    error: Failure | None = None
    response: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    calls: int = 0
    versions: dict[str, int] = {}
    failed: int = 0
    errors: list[Failure] = []
    slowest_ms: float = 0.0

    @property
    def failure(self) -> Failure:
        assert not self.ok
        assert self.error is not None
        return self.error

    @property
    def resolved(self) -> pb.ResolveResponse:
        self.check()
        return json_format.ParseDict(self.response, pb.ResolveResponse())

    @property
    def completed(self) -> pb.CompleteResponse:
        self.check()
        return json_format.ParseDict(self.response, pb.CompleteResponse())

    @property
    def streamed(self) -> list[pb.CompleteStreamResponse]:
        """The events of a streamed answer, as far as they came."""
        return [json_format.ParseDict(each, pb.CompleteStreamResponse()) for each in self.events]

    @property
    def told(self) -> list[tuple[str, str]]:
        """The events of a watch: the prompt's id, and what happened to it."""
        self.check()
        events = [json_format.ParseDict(each, pb.WatchPromptsResponse()) for each in self.events]
        return [(event.ref.id, pb.Change.Name(event.change)) for event in events]

    def check(self) -> None:
        """Fail with what went wrong, if something did."""
        assert self.ok, self.error


class Driver:
    """A driver that runs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._turn = asyncio.Lock()

    async def do(self, op: str, **arguments: object) -> Answer:
        """Give a command, and return the answer to it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn:
            stdin.write(msgspec.json.encode({"op": op, **arguments}) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        assert line, self.log
        return msgspec.json.decode(line, type=Answer)

    @property
    def log(self) -> str:
        """What the driver wrote to standard error."""
        return self._log.read_text()

    async def connect(self, address: str, **options: object) -> None:
        """Connect to a server, in place of the one that it was connected to."""
        (await self.try_to_connect(address, **options)).check()

    async def try_to_connect(self, address: str, **options: object) -> Answer:
        """Do so, and return whether the client was content with the options."""
        command = {"address": address, "token": None, "token_file": None, "tls": None, **options}
        return await self.do("connect", **command)


@asynccontextmanager
async def running_driver(run: str, place: Path, log: IO[str]) -> AsyncIterator[Driver]:
    """Run a driver until the context ends; then its input does, and it must end well by itself."""
    environ = {name: value for name, value in os.environ.items() if name not in _NO_PROXIES}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {run}"),
        cwd=place,
        env={**environ, **_PROXIES},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        limit=_LONGEST_LINE,
    )
    try:
        driver = Driver(process, Path(log.name))
        yield driver
        assert process.stdin is not None
        process.stdin.close()
        code = await asyncio.wait_for(process.wait(), 30)
        assert code == 0, driver.log
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def text_of(messages: Sequence[pb.Message]) -> list[str]:
    """Return the texts of messages, in order."""
    return [part.text for message in messages for part in message.content]
