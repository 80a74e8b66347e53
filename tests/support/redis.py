"""A Redis server of a test's own, which can be killed, stopped and started again."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.support.ports import find_port

SERVER = shutil.which("redis-server")


def need_redis(*, require_all: bool) -> None:
    """Skip the test where there is no Redis, unless everything has to be there."""
    if SERVER is None and not require_all:
        pytest.skip("not installed: redis-server")


@dataclass
class RedisProcess:
    """A server without persistence, and a client of the test's own.

    `arguments` are the server's own; `tls` are those of the client.
    """

    url: str
    arguments: tuple[str, ...]
    password: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"password": self.password, **self.tls}
        self.client = Redis.from_url(self.url, protocol=2, **options)

    async def start(self) -> None:
        assert SERVER is not None
        told = ("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "notice")
        # Not by the event loop, whose way to start a process gRPC's threads may crash.
        self.process = await asyncio.to_thread(
            subprocess.Popen, [SERVER, *told, *self.arguments], stdout=subprocess.PIPE, text=True
        )
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return
            lines.append(line)
        raise AssertionError("".join(lines) or "redis-server did not start")

    async def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.communicate)

    def freeze(self) -> None:
        """Have it answer nothing any more, as a network does that swallows everything."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.kill()


@asynccontextmanager
async def running_redis(
    folder: Path,
    *arguments: str,
    url: str = "",
    password: str | None = None,
    tls: Mapping[str, str] | None = None,
) -> AsyncIterator[RedisProcess]:
    """Run a server until the context ends: on a free port of loopback, or where `url` says."""
    port = find_port()
    where = () if url else ("--port", str(port), "--bind", "127.0.0.1")
    auth = ("--requirepass", password) if password is not None else ()
    redis = RedisProcess(
        url=url or f"redis://127.0.0.1:{port}",
        arguments=(*where, *auth, *arguments, "--dir", str(folder)),
        password=password,
        tls=tls or {},
    )
    await redis.start()
    try:
        yield redis
    finally:
        await redis.aclose()
