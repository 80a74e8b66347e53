"""A provider that sends as fast as its socket takes the bytes, and counts those that it took."""

import asyncio
import hashlib
import socket

from tests.support.upstream import Exchange, openai_events

_SEND_BUFFER = 64 * 1024
_TEXT = 4000


def numbered(number: int) -> str:
    """Return a text that is like no other one."""
    return f"{number:08d}".ljust(_TEXT, ".")


class Flood:
    """One streamed answer of about so many bytes.

    The kernel is told to keep little for the provider, so that what is taken is what the service
    takes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._handed = 0
        self._exchange: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.texts = 0
        self.closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @property
    def accepted(self) -> int:
        """How many bytes the socket took."""
        if not self._exchange.done():
            return 0
        return self._handed - self._exchange.result().writer.transport.get_write_buffer_size()

    @property
    def digest(self) -> str:
        """The SHA-256 of all of the text that was sent."""
        text = hashlib.sha256()
        for number in range(self.texts):
            text.update(numbered(number).encode())
        return text.hexdigest()

    async def answer(self, exchange: Exchange) -> None:
        sock: socket.socket = exchange.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._exchange.set_result(exchange)
        sending = asyncio.ensure_future(self._send(exchange))
        try:
            self.closed.set_result(await exchange.wait_closed())
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, exchange: Exchange) -> None:
        await exchange.begin_stream()
        while self._handed < self._size:
            await self._hand(exchange, openai_events(numbered(self.texts))[1])
            self.texts += 1
        await self._hand(exchange, b"".join(openai_events()))
        exchange.writer.write_eof()

    async def _hand(self, exchange: Exchange, data: bytes) -> None:
        self._handed += len(data)
        await exchange.send(data)
