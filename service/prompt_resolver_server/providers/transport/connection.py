"""One connection of HTTP/1.1: a request goes out, and its response comes in as it is asked for.

The response is taken apart by llhttp. What its reader has yet to take is bounded: beyond that, the
server is held back.
"""

import asyncio
import socket
from asyncio import Future
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import cast

import httptools
from typing_extensions import override

from ...alarms import Alarms
from .transport import Gathering, Phase, TransportError

_MAX_BARE_BYTES = 64 * 1024
_HIGH_WATER_BYTES = 64 * 1024
_LARGE_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """A connection over a socket, which carries one exchange at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, alarms: Alarms, sock: socket.socket
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._alarms = alarms
        self._transport: asyncio.Transport | None = None
        self._waiter: Future[None] | None = None
        self._calling: bytes | None = None
        self._lost = False
        self._response = _Incoming()

    @property
    def is_open(self) -> bool:
        """Whether the connection can carry a request: it is there, and nothing came unasked."""
        transport = self._transport
        return not (transport is None or transport.is_closing() or self._lost)

    @property
    def is_reusable(self) -> bool:
        """Whether the response has ended, and the server goes on listening.

        One that answers before it has read the request may never read the rest, nor what follows.
        """
        response, transport = self._response, self._transport
        return (
            response.ended
            and response.keep_alive
            and self.is_open
            and transport is not None
            and transport.get_write_buffer_size() == 0
        )

    @property
    def status(self) -> int:
        """The response's status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, by their names in lower case; of those that repeat, the first."""
        return self._response.headers

    @property
    def has_ended(self) -> bool:
        """Whether all of the response has arrived."""
        return self._response.ended

    async def exchange(self, request: bytes, timeout_s: float) -> None:
        """Send a request, and wait for the head of its response. Raises `TransportError`."""
        assert self._transport is not None
        response = self._response = _Incoming()
        if len(request) <= _LARGE_BYTES:
            self._transport.write(request)
        else:
            # Over TLS, what is held up is told of what is written thereafter alone.
            whole = memoryview(request)
            self._transport.write(whole[:-1])
            self._transport.write(whole[-1:])
        until = self._loop.time() + timeout_s
        while not (response.begun or response.failed):
            if self._lost:
                raise TransportError("malformed" if response.bare_bytes else "unreachable")
            await self._wait(until, "first_byte")
        if response.failed and not response.begun:
            raise TransportError("malformed")

    async def read_some(self, timeout_s: float, gathering: Gathering | None = None) -> bytes:
        """Return what has arrived of the body, or wait for more; empty at the end.

        Raises `TransportError`.
        """
        response = self._response
        if gathering is not None and not any(gathering.unless in part for part in response.body):
            await self._gather(timeout_s, gathering)
        await self._wait_for_some(timeout_s)
        data = response.take()
        if response.paused:
            response.paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def _wait_for_some(self, timeout_s: float) -> None:
        """Wait until the body goes on, or ends."""
        response = self._response
        until = self._loop.time() + timeout_s
        while not (response.body or response.ended):
            if response.failed or (self._lost and response.is_framed):
                raise TransportError("cut")
            if self._lost:
                return
            await self._wait(until, "idle")

    async def _gather(self, timeout_s: float, gathering: Gathering) -> None:
        """Wait for as long as that may be worth it."""
        response = self._response
        end = self._loop.time() + timeout_s
        self._calling = gathering.unless
        try:
            while not (response.ended or response.failed or self._lost or response.paused):
                now = self._loop.time()
                try:
                    await self._wait(min(end, now + gathering.up_to_s), "idle")
                except TransportError:
                    if response.body:
                        break
                    if self._loop.time() >= end:
                        raise
                else:
                    break
        finally:
            self._calling = None

    def abort(self) -> None:
        """End the connection now, also where a forked process holds its socket, too."""
        if self._transport is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        response = self._response
        response.feed(data)
        if response.failed:
            self.abort()
        elif response.size > _HIGH_WATER_BYTES and not response.ended and not response.paused:
            assert self._transport is not None
            response.paused = True
            self._transport.pause_reading()
        calling = self._calling
        if calling is None or response.ended or response.paused or calling in data:
            self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self, until: float, phase: Phase) -> None:
        """Wait for something to happen, until then."""
        waiter = self._waiter = self._loop.create_future()
        alarm = partial(_expire, waiter)
        self._alarms.set(alarm, until)
        try:
            await waiter
        except TimeoutError:
            raise TransportError("timeout", phase=phase) from None
        finally:
            self._alarms.clear(alarm)
            self._waiter = None


def _expire(waiter: Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class _Incoming:
    """One response, as it comes in."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.size = 0
        """How much of the body waits for its reader."""
        self.bare_bytes = 0
        """How much has come since the last part of the body, or since the head."""
        self.begun = False
        self.ended = False
        self.failed = False
        self.paused = False
        self.keep_alive = False
        self._coding = ""
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # There are servers that end a line, or fill a chunk's size up, in ways of their own.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def is_framed(self) -> bool:
        """Whether the response itself tells where it ends, rather than the connection's end."""
        return self._coding == "chunked" or (not self._coding and "content-length" in self.headers)

    def take(self) -> bytes:
        """Return what waits of the body."""
        data = b"".join(self.body)
        self.body.clear()
        self.size = 0
        return data

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        parser = self._parser
        if parser is None:
            # Nobody asked for more: what comes next could be taken for another's response.
            self.keep_alive = False
            return
        before = self.begun, self.size
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.failed = True
        if self.ended or self.failed:
            # It holds this object, and would stay until both are found by chance.
            self._parser = None
        if (self.begun, self.size) != before:
            self.bare_bytes = 0
            return
        # Heads, trailers and what else goes with chunks could be without an end.
        self.bare_bytes += len(data)
        if self.bare_bytes > _MAX_BARE_BYTES:
            self.failed = True

    def on_message_begin(self) -> None:
        """Begin a response; one that follows another was not asked for."""
        if self.ended:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, which a trailer is not."""
        if self.begun:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers.setdefault(key, text)
        if key == "transfer-encoding":
            self._coding = text.rpartition(",")[2].strip().lower()

    def on_headers_complete(self) -> None:
        """Begin the body, unless it is an interim response that ends here."""
        parser = self._parser
        if self.begun or parser is None:
            return
        status = parser.get_status_code()
        if status < HTTPStatus.OK:
            self.headers.clear()
            self._coding = ""
            return
        self.status = status
        self.keep_alive = parser.should_keep_alive()
        self.begun = True

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if self.begun and not self.ended:
            self.body.append(data)
            self.size += len(data)

    def on_message_complete(self) -> None:
        """End the response, unless it was an interim one."""
        self.ended = self.begun
