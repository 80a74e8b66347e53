"""One connection of HTTP/1.1: a request goes out, and its response comes in as it is asked for.

What the response's reader has yet to take is bounded: beyond that, the server is held back.
"""

import asyncio
import select
import socket
from asyncio import Future
from contextlib import suppress
from functools import partial
from typing import cast

from typing_extensions import override

from ...runtime.alarms import Alarm, Alarms
from ...runtime.turns import Turns
from .incoming import Incoming
from .transport import Gathering, Phase, TransportError

_HIGH_WATER_BYTES = 64 * 1024
_LARGE_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """A connection over a socket, which carries one exchange at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        alarms: Alarms,
        turns: Turns,
        sock: socket.socket,
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._arrivals = select.poll()
        self._arrivals.register(sock, select.POLLIN)
        self._alarms = alarms
        self._turns = turns
        self._transport: asyncio.Transport | None = None
        self._waiter: Future[None] | None = None
        self._alarm: Alarm | None = None
        self._calling: bytes | None = None
        self._lost = False
        self.response = Incoming()
        """The response that comes in, or came last."""
        self.made_at = loop.time()
        self.in_turn = True
        """Whether much is made of the end of what is read, so that it has to wait for its turn."""
        self.kept_until = 0.0
        """How long it may wait for its next request, on the event loop's clock."""

    @property
    def is_open(self) -> bool:
        """Whether the connection is there, and is not being closed."""
        transport = self._transport
        return not (transport is None or transport.is_closing() or self._lost)

    @property
    def is_reusable(self) -> bool:
        """Whether the response has ended, and the server goes on listening.

        One that answers before it has read the request may never read the rest, nor what follows.
        """
        response, transport = self.response, self._transport
        return (
            response.ended
            and response.keep_alive
            and not (transport is None or transport.is_closing() or self._lost)
            and transport.get_write_buffer_size() == 0
        )

    def is_quiet(self) -> bool:
        """Tell whether nothing has come that the event loop has yet to find, such as the end.

        A request on a connection that has ended would be lost, and may not be sent again: nobody
        could tell whether it had been read.
        """
        return not self._arrivals.poll(0)

    async def exchange(self, request: bytes, timeout_s: float) -> Incoming:
        """Send a request, and return its response once the head is there.

        Raises `TransportError`.
        """
        assert self._transport is not None
        response = self.response = Incoming()
        self.in_turn = True
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
                if response.bare_bytes:
                    raise TransportError("malformed")
                raise TransportError("unreachable", why="closed")
            await self._wait(until, "first_byte")
        if response.failed and not response.begun:
            raise TransportError("malformed")
        return response

    async def read_some(self, timeout_s: float, gathering: Gathering | None = None) -> bytes:
        """Return what has arrived of the body, or wait for more; empty at the end.

        Raises `TransportError`.
        """
        response = self.response
        if gathering is not None and not any(gathering.unless in part for part in response.body):
            await self._gather(timeout_s, gathering)
        if not (response.body or response.ended):
            await self._wait_for_some(timeout_s)
        data = response.take()
        if response.paused:
            response.paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def _wait_for_some(self, timeout_s: float) -> None:
        """Wait until the body goes on, or ends."""
        response = self.response
        until = self._loop.time() + timeout_s
        while not (response.body or response.ended):
            if response.failed or (self._lost and response.is_framed):
                raise TransportError("cut")
            if self._lost:
                return
            await self._wait(until, "idle")

    async def _gather(self, timeout_s: float, gathering: Gathering) -> None:
        """Wait for as long as that may be worth it."""
        response = self.response
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
        response = self.response
        response.feed(data)
        if response.failed:
            self.abort()
        elif response.size > _HIGH_WATER_BYTES and not response.ended and not response.paused:
            assert self._transport is not None
            response.paused = True
            self._transport.pause_reading()
        calling = self._calling
        if response.ended or (calling is not None and calling in data):
            # All that is left is to make something of it.
            self._wake(in_turn=self.in_turn)
        elif calling is None or response.paused:
            self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()

    def _wake(self, *, in_turn: bool = False) -> None:
        waiter, alarm = self._waiter, self._alarm
        if waiter is None or alarm is None or waiter.done():
            return
        # It has come in time, whenever its turn is.
        self._alarms.pop(alarm, None)
        if in_turn:
            self._turns.take(waiter)
        else:
            waiter.set_result(None)

    async def _wait(self, until: float, phase: Phase) -> None:
        """Wait for something to happen, until then."""
        waiter = self._waiter = self._loop.create_future()
        alarm = self._alarm = partial(_expire, waiter)
        self._alarms.set(alarm, until)
        try:
            await waiter
        except TimeoutError:
            raise TransportError("timeout", phase=phase) from None
        finally:
            self._alarms.pop(alarm, None)
            self._waiter = self._alarm = None


def _expire(waiter: Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
