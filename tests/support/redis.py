"""A Redis server of a test's own, which can be killed, stopped and started again."""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

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
    process: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"password": self.password, **self.tls}
        self.client = Redis.from_url(self.url, protocol=2, **options)

    async def start(self) -> None:
        assert SERVER is not None
        self.process = await asyncio.create_subprocess_exec(
            SERVER,
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "notice"),
            *self.arguments,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if b"eady to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    async def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

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


def find_port() -> int:
    """Return a port that is free: the server has to come back at the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
