"""One connection of HTTP/1.1: a request goes out, and its response comes in as it is asked for.

The response is taken apart by llhttp. What its reader has yet to take is bounded: beyond that, the
server is held back.
"""

import asyncio
from asyncio import Future
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

import httptools
from typing_extensions import override

from .transport import Phase, TransportError

_MAX_HEAD_BYTES = 64 * 1024
_HIGH_WATER_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """A connection, which carries one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: Future[None] | None = None
        self._lost = False
        self._response = _Incoming()

    @property
    def is_open(self) -> bool:
        """Whether the connection can carry a request: it is there, and nothing came unasked."""
        transport = self._transport
        return not (transport is None or transport.is_closing() or self._lost)

    @property
    def is_reusable(self) -> bool:
        """Whether the response has ended, and the server goes on listening."""
        return self.is_open and self._response.ended and self._response.keep_alive

    @property
    def status(self) -> int:
        """The response's status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers, by their names in lower case; those that repeat, joined."""
        return self._response.headers

    @property
    def has_ended(self) -> bool:
        """Whether all of the response has arrived."""
        return self._response.ended

    async def exchange(self, request: bytes, timeout_s: float) -> None:
        """Send a request, and wait for the head of its response. Raises `TransportError`."""
        assert self._transport is not None
        response = self._response = _Incoming()
        self._transport.write(request)
        until = self._loop.time() + timeout_s
        while not (response.begun or response.failed):
            if self._lost:
                raise TransportError("malformed" if response.head_bytes else "unreachable")
            await self._wait(until, "first_byte")
        if response.failed and not response.begun:
            raise TransportError("malformed")

    async def read_some(self, timeout_s: float) -> bytes:
        """Return what has arrived of the body, or wait for more; empty at the end.

        Raises `TransportError`.
        """
        response = self._response
        if not response.body:
            until = self._loop.time() + timeout_s
            while not (response.body or response.ended):
                if response.failed or (self._lost and response.is_framed):
                    raise TransportError("cut")
                if self._lost:
                    return b""
                await self._wait(until, "idle")
        data = b"".join(response.body)
        response.body.clear()
        if response.paused:
            response.paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
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
        timer = self._loop.call_at(until, _expire, waiter)
        try:
            await waiter
        except TimeoutError:
            raise TransportError("timeout", phase=phase) from None
        finally:
            timer.cancel()
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
        self.head_bytes = 0
        self.begun = False
        self.ended = False
        self.failed = False
        self.paused = False
        self.keep_alive = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def size(self) -> int:
        """How much of the body waits for its reader."""
        return sum(map(len, self.body))

    @property
    def is_framed(self) -> bool:
        """Whether the response itself tells where it ends, rather than the connection's end."""
        coding = self.headers.get("transfer-encoding", "")
        return coding.lower().endswith("chunked") or (
            not coding and "content-length" in self.headers
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.ended:
            # Nobody asked for more: what comes next could be taken for another's response.
            self.keep_alive = False
            return
        if not self.begun:
            self.head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.failed = True
        if not self.begun and self.head_bytes > _MAX_HEAD_BYTES:
            self.failed = True

    def on_message_begin(self) -> None:
        """Begin a response; one that follows another was not asked for."""
        if self.ended:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self.ended:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self.headers.get(key)
        self.headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Begin the body, unless it is an interim response that ends here."""
        status = self._parser.get_status_code()
        if self.ended or status < HTTPStatus.OK:
            self.headers.clear()
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()
        self.begun = True

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self.ended:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """End the response, unless it was an interim one."""
        self.ended = self.begun
