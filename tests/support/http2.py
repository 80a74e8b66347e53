"""HTTP/2 by hand, for what no client would send."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4

_CANCEL = 8
_HEADER_BYTES = 9
# POST over http, and the names of `:path` and `:authority`.
_STATIC, _PATH, _AUTHORITY = b"\x83\x86", b"\x04", b"\x01"
_NEW_NAME = b"\x00"


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame, which belongs to the connection unless it names a stream."""
    head = struct.pack(">BHBBI", 0, len(payload), kind, flags, stream)
    return head + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Return the kind and the flags of the next frame."""
    head = await reader.readexactly(_HEADER_BYTES)
    await reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3], head[4]


def headers(path: str) -> bytes:
    """Return the headers of a gRPC call, none of which is to be remembered."""
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    block = _STATIC + _PATH + _text(path) + _AUTHORITY + _text("x")
    return block + b"".join(_NEW_NAME + _text(name) + _text(value) for name, value in fields)


def begin(stream: int, path: str, message: bytes) -> bytes:
    """Return the frames of a whole gRPC request."""
    data = b"\x00" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, headers(path), END_HEADERS, stream) + frame(
        DATA, data, END_STREAM, stream
    )


def cancel(stream: int) -> bytes:
    """Return the frame with which a caller leaves a call."""
    return frame(RESET, struct.pack(">I", _CANCEL), stream=stream)


class Peer:
    """The client's side of a connection, which reads whatever comes and thinks nothing of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._reading = asyncio.ensure_future(self._read(reader))
        self.received = 0
        """How many bytes have come since the connection was agreed upon."""

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed the connection yet."""
        return not self._reading.done()

    async def pour(self, chunks: Iterable[bytes]) -> None:
        """Send as fast as it is taken, unless the server closes the connection."""
        with suppress(ConnectionError):
            for chunk in chunks:
                if not self.is_open:
                    return
                self._writer.write(chunk)
                await self._writer.drain()
                # Others have their turn, even if the socket takes all.
                await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        """Wait until the server closes the connection."""
        await self._reading

    async def wait_received(self, count: int) -> None:
        """Wait until so many bytes have come, or the server closes the connection."""
        while self.is_open and self.received < count:
            await asyncio.wait({self._reading}, timeout=0.01)

    def leave(self) -> None:
        """Close the connection without a word."""
        self._reading.cancel()
        self._writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1024 * 1024):
                self.received += len(data)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Peer]:
    """Connect, and agree to the server's settings, as every client does."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS) + frame(SETTINGS, flags=ACK))
    while await read_frame(reader) != (SETTINGS, ACK):
        pass
    peer = Peer(reader, writer)
    try:
        yield peer
    finally:
        peer.leave()


def _text(text: str) -> bytes:
    # A length of 127 and more would take a second byte; none of ours is so long.
    return bytes((len(text),)) + text.encode()
