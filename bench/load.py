"""Closed-loop load: so many calls in flight, each followed by the next."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from .h2 import Connection, Tally

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
            lambda share=share: Connection(  # type: ignore[misc]
                path=path, message=message, in_flight=share, tally=tally
            ),
            host,
            int(port),
        )
        connections.append(connection)
    try:
        await asyncio.sleep(seconds)
        for connection in connections:
            connection.stop()
        async with asyncio.timeout(_ENDING_S):
            await asyncio.gather(*(connection.idle.wait() for connection in connections))
    finally:
        for connection in connections:
            connection.close()
    return _summary(tally, time.perf_counter() - started)


async def load_http(
    url: str, body: bytes, *, headers: Mapping[str, str], in_flight: int, seconds: float
) -> Load:
    """Post a body to a server of HTTP."""
    tally = Tally()
    started = time.perf_counter()
    until = started + seconds

    async def call_on(session: aiohttp.ClientSession) -> None:
        while (begun := time.perf_counter()) < until:
            try:
                async with session.post(url, data=body) as response:
                    await response.read()
                    ok = response.status == 200
            except aiohttp.ClientError:
                ok = False
            if ok:
                tally.seconds.append(time.perf_counter() - begun)
            else:
                tally.errors += 1

    timeout = aiohttp.ClientTimeout(total=_ENDING_S)
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Content-Type": "application/json", **headers},
            timeout=timeout,
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(in_flight):
            group.create_task(call_on(session))
    return _summary(tally, time.perf_counter() - started)


def _summary(tally: Tally, seconds: float) -> Load:
    taken = sorted(tally.seconds) or [0.0]
    return Load(
        calls=len(tally.seconds),
        errors=tally.errors,
        seconds=seconds,
        p50_ms=statistics.median(taken) * 1000,
        p99_ms=taken[len(taken) * 99 // 100] * 1000,
    )
