"""A provider that is in no hurry, and notices who leaves it."""

import asyncio

from tests.support.upstream import Exchange, openai_events

UNARY_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
"""What begins an answer that does not end."""


class WaitingProvider:
    """A provider that sends something, waits, and notes when its caller hung up."""

    def __init__(self, *sent: bytes, streamed: bool) -> None:
        self._sent = sent
        self._streamed = streamed
        self.waiting: asyncio.Queue[None] = asyncio.Queue()
        self.closed: asyncio.Queue[float] = asyncio.Queue()

    async def answer(self, exchange: Exchange) -> None:
        if self._sent and self._streamed:
            await exchange.begin_stream()
        for data in self._sent:
            await exchange.send(data)
        self.waiting.put_nowait(None)
        self.closed.put_nowait(await exchange.wait_closed())


class EndlessProvider:
    """A provider that streams without end, and notes when it is held back and when it is left."""

    def __init__(self) -> None:
        self.blocked = asyncio.Event()
        self.closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def answer(self, exchange: Exchange) -> None:
        event = openai_events("x" * 100_000)[1]
        await exchange.begin_stream()
        while True:
            sending = asyncio.ensure_future(exchange.send(event))
            done, _ = await asyncio.wait({sending}, timeout=1)
            if not done:
                self.blocked.set()
                self.closed.set_result(await exchange.wait_closed())
                sending.cancel()
                return
