"""A client that pings while nothing else is said is let be."""

import asyncio

from tests.support.service import RunningService

INTERVAL_S = 10.0
# A server that is annoyed says so at the third ping that comes too early.
PINGS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACK = 1


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """Return a frame of HTTP/2 that belongs to no stream."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 0]) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Return the kind and the flags of the next frame."""
    head = await reader.readexactly(9)
    await reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3], head[4]


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
