"""Closed-loop load: so many calls in flight, each followed by the next."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import h1, h2
from .h2 import Tally

_MAX_CONNECTIONS = 4
_ENDING_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one load saw."""

    calls: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Good calls in a second."""
        return self.calls / self.seconds


async def load_grpc(
    address: str, path: str, message: bytes, *, in_flight: int, seconds: float
) -> Load:
    """Call a method of gRPC, with the calls spread over a few connections."""
    tally = Tally()
    count = min(in_flight, _MAX_CONNECTIONS)
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = []
    for index in range(count):
        share = in_flight // count + (index < in_flight % count)
        _, connection = await loop.create_connection(
            lambda share=share: h2.Connection(  # type: ignore[misc]
                path=path, message=message, in_flight=share, tally=tally
            ),
            host,
            int(port),
        )
        connections.append(connection)
    await _run(connections, seconds)
    return _summary(tally, time.perf_counter() - started)


async def load_http(
    url: str, body: bytes, *, headers: Mapping[str, str], in_flight: int, seconds: float
) -> Load:
    """Post a body to a server of HTTP, each of the calls in flight on a connection of its own."""
    parts = urlsplit(url)
    host, _, port = parts.netloc.rpartition(":")
    tally = Tally()
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = []
    for _ in range(in_flight):
        _, connection = await loop.create_connection(
            lambda: h1.Connection(request=request, tally=tally), host, int(port)
        )
        connections.append(connection)
    await _run(connections, seconds)
    return _summary(tally, time.perf_counter() - started)


async def _run(connections: Sequence[h1.Connection | h2.Connection], seconds: float) -> None:
    """Let the connections work for a while, and end them."""
    try:
        await asyncio.sleep(seconds)
        for connection in connections:
            connection.stop()
        async with asyncio.timeout(_ENDING_S):
            await asyncio.gather(*(connection.idle.wait() for connection in connections))
    finally:
        for connection in connections:
            connection.close()


def _summary(tally: Tally, seconds: float) -> Load:
    taken = sorted(tally.seconds) or [0.0]
    return Load(
        calls=len(tally.seconds),
        errors=tally.errors,
        seconds=seconds,
        p50_ms=statistics.median(taken) * 1000,
        p99_ms=taken[len(taken) * 99 // 100] * 1000,
    )
