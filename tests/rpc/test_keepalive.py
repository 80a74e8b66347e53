"""A client that pings while nothing else is said is let be."""

import asyncio

from tests.support.http2 import ACK, GOAWAY, PING, PREFACE, SETTINGS, frame, read_frame
from tests.support.service import RunningService

INTERVAL_S = 10.0
# A server that were annoyed would say so at the fourth ping.
PINGS = 4


async def test_idle_client_that_pings(service: RunningService) -> None:
    """Pings every ten seconds are answered, and bring no GOAWAY with ENHANCE_YOUR_CALM."""
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS))
    came: list[tuple[int, int]] = []

    async def listen() -> None:
        while True:
            came.append(await read_frame(reader))

    listening = asyncio.ensure_future(listen())
    for _ in range(PINGS):
        writer.write(frame(PING, bytes(8)))
        # A little more, as it is measured where it arrives.
        done, _ = await asyncio.wait({listening}, timeout=INTERVAL_S + 0.2)
        assert not done
    listening.cancel()
    writer.close()

    assert came.count((PING, ACK)) == PINGS
    assert [kind for kind, _ in came if kind == GOAWAY] == []
