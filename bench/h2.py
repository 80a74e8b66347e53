"""Just enough of HTTP/2 to ask one gRPC method the same thing over and over.

A whole client costs as much as the server that it asks, and would be what is measured.
"""

import asyncio
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from typing_extensions import override

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER_BYTES = 9
_MAX_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4


@dataclass(slots=True)
class Tally:
    """What became of the calls of one load, and how many seconds each good one took."""

    errors: int = 0
    seconds: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection that keeps so many calls in flight until it is told to stop.

    A call that ends without a message has failed: gRPC sends nothing but a status then.
    """

    def __init__(self, *, path: str, message: bytes, in_flight: int, tally: Tally) -> None:
        self.idle = asyncio.Event()
        self._path = path
        self._data = b"\x00" + struct.pack(">I", len(message)) + message
        self._headers: bytes = b""
        self._in_flight = in_flight
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._out: list[bytes] = []
        self._window = _FIRST_WINDOW
        self._waiting = 0
        self._next_stream = 1
        self._started: dict[int, float] = {}
        self._answered: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Begin no more calls. `idle` tells when those that run have ended."""
        self._stopping = True
        self._waiting = 0
        if not self._started:
            self.idle.set()

    def close(self) -> None:
        """Close the connection, whatever still runs."""
        if self._transport is not None:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        host, port = transport.get_extra_info("peername")
        first, self._headers = _header_blocks(self._path, f"{host}:{port}")
        # No pushes, and as much room as there is: the server is never to wait for us.
        settings = struct.pack(">HIHI", 2, 0, 4, _MAX_WINDOW)
        room = struct.pack(">I", _MAX_WINDOW - _FIRST_WINDOW)
        self._out += [_PREFACE, _frame(_SETTINGS, 0, 0, settings), _frame(_WINDOW, 0, 0, room)]
        self._begin(first)
        for _ in range(self._in_flight - 1):
            self._begin(self._headers)
        self._flush()

    @override
    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        position = 0
        while len(data) - position >= _HEADER_BYTES:
            length = int.from_bytes(data[position : position + 3])
            end = position + _HEADER_BYTES + length
            if end > len(data):
                break
            stream = int.from_bytes(data[position + 5 : position + 9]) & _MAX_WINDOW
            payload = data[position + _HEADER_BYTES : end]
            self._take(data[position + 3], data[position + 4], stream, payload)
            position = end
        self._rest = data[position:]
        self._flush()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.errors += len(self._started)
        self._started.clear()
        self.idle.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (_DATA, _HEADERS):
            if kind == _DATA and payload:
                self._answered.add(stream)
            if flags & _END_STREAM:
                self._end(stream)
        elif kind == _RESET:
            self._answered.discard(stream)
            self._end(stream)
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload)
            waiting, self._waiting = self._waiting, 0
            for _ in range(waiting):
                self._begin(self._headers)
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._out.append(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _GOAWAY:
            self.close()

    def _begin(self, headers: bytes) -> None:
        if self._stopping:
            return
        if self._window < len(self._data):
            self._waiting += 1
            return
        stream = self._next_stream
        self._next_stream += 2
        self._window -= len(self._data)
        self._started[stream] = time.perf_counter()
        self._out += [
            _frame(_HEADERS, _END_HEADERS, stream, headers),
            _frame(_DATA, _END_STREAM, stream, self._data),
        ]

    def _end(self, stream: int) -> None:
        started = self._started.pop(stream, None)
        if started is None:
            return
        if stream in self._answered:
            self._answered.discard(stream)
            self._tally.seconds.append(time.perf_counter() - started)
        else:
            self._tally.errors += 1
        self._begin(self._headers)
        if self._stopping and not self._started:
            self.idle.set()

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _header_blocks(path: str, authority: str) -> tuple[bytes, bytes]:
    """Return the headers of a connection's first call, and of all others.

    The first call teaches the server's table the headers, which the others then name by number, as
    every client of gRPC does.
    """
    taught = (
        (4, path),
        (1, authority),
        (31, "application/grpc"),
        (58, "grpc-bench"),
        ("te", "trailers"),
        ("grpc-timeout", "30S"),
    )
    plain = b"\x83\x86"  # POST, http
    first = plain + b"".join(_literals(taught))
    numbers = range(61 + len(taught), 61, -1)
    return first, plain + bytes(0x80 | number for number in numbers)


def _literals(headers: tuple[tuple[int | str, str], ...]) -> Iterator[bytes]:
    for name, value in headers:
        yield bytes((0x40 | name,)) if isinstance(name, int) else b"\x40" + _text(name)
        yield _text(value)


def _text(text: str) -> bytes:
    # A length of 127 and more would take a second byte; none of ours is so long.
    return bytes((len(text),)) + text.encode()
