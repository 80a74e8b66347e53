"""Connections that are opened and say nothing, or half of what they should, take nothing along."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from prompt_resolver import AsyncPromptResolverClient
from tests.support.certificates import Authority, connection_options
from tests.support.http2 import PREFACE
from tests.support.scene import faults_in
from tests.support.service import service_process
from tests.support.vitals import vitals

EACH = 125
CALLS = 200
MEMORY_KIB = 128 * 1024
# A handshake has twenty seconds.
PATIENCE_S = 40

GRPC = ("grpc", "admin_grpc")
HTTP = ("http", "admin")


def hello() -> bytes:
    """Return what a client begins a TLS handshake with."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def beginnings(door: str, *, tls: bool) -> tuple[bytes, ...]:
    """Return how connections to a door may begin, without coming to a request."""
    if tls and door != "admin":
        return b"", hello()[:20], hello()
    if door in GRPC:
        return b"", PREFACE[:10], PREFACE
    return b"", b"GET /v1/models HT", b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def half_open(address: str, beginning: bytes) -> AsyncIterator[list[socket.socket]]:
    """Open connections that begin in this way, and go no further."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    opened = [socket.socket() for _ in range(EACH)]
    try:
        for each in opened:
            each.setblocking(False)
            await loop.sock_connect(each, (host, int(port)))
            await loop.sock_sendall(each, beginning)
        yield opened
    finally:
        for each in opened:
            each.close()


async def wait_closed(connection: socket.socket) -> None:
    """Wait until the other end closes a connection, whatever it says before."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(connection, 65536):
            pass
    except ConnectionError:
        return


@asynccontextmanager
async def halves_open(doors: Mapping[str, str], *, tls: bool) -> AsyncIterator[list[socket.socket]]:
    """Open connections of every kind to these doors, by their names and addresses."""
    async with AsyncExitStack() as stack:
        opened: list[socket.socket] = []
        for door, address in doors.items():
            for beginning in beginnings(door, tls=tls):
                opened += await stack.enter_async_context(half_open(address, beginning))
        yield opened


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_half_open_connections(tmp_path: Path, tls: bool) -> None:
    """Over a thousand of them disturb no call; gRPC's doors close theirs in time; all are gone."""
    authority = Authority(tmp_path)
    authority.write("server", "127.0.0.1")
    files = "tls_cert_file: server.crt, tls_key_file: server.key, " if tls else ""
    config = tmp_path / "config.yaml"
    config.write_text(f"server: {{{files}admin_grpc_address: '127.0.0.1:0'}}")
    options = connection_options(authority) if tls else {}
    with service_process("--config", str(config)) as process:
        pid = process.process.pid
        async with AsyncPromptResolverClient(process.address, **options) as client:

            async def resolve() -> None:
                for _ in range(CALLS):
                    await client.resolve("extract/invoice", variables={"text": "x"})

            await resolve()
            before = vitals(pid)
            async with (
                halves_open({door: process.door(door) for door in GRPC}, tls=tls) as over_grpc,
                halves_open({door: process.door(door) for door in HTTP}, tls=tls) as over_http,
            ):
                await resolve()
                during = vitals(pid)
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*map(wait_closed, over_grpc))
            async with asyncio.timeout(30):
                while vitals(pid).files > before.files:
                    await resolve()
            after = vitals(pid)
        code, log = await asyncio.to_thread(process.stop)

    assert len(over_grpc) + len(over_http) == 12 * EACH
    assert during.files > before.files + 6 * EACH
    assert after.peak_kib - before.memory_kib < MEMORY_KIB
    assert after.threads <= before.threads + 4
    assert (code, faults_in(log)) == (0, [])
