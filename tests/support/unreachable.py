"""Places where a connection is not made, or not to its end; they notice who gives up."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

_SYN_SENT = 2


@contextmanager
def listener_with_full_queue() -> Iterator[int]:
    """Listen, accept nothing, and take the queue's places; yield the port.

    Whoever connects is told nothing, as if the packets went nowhere.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        taken = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            taken.append(waiting)
        try:
            yield listener.getsockname()[1]
        finally:
            for waiting in taken:
                waiting.close()


def sockets_that_connect() -> int:
    """Return how many sockets of this process wait for a connection to be made."""
    return sum(_is_connecting(int(name)) for name in os.listdir("/proc/self/fd"))


def _is_connecting(number: int) -> bool:
    try:
        if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(number)) as same:
            return same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _SYN_SENT
    except OSError:
        return False


@asynccontextmanager
async def refusing_server(address: str) -> AsyncIterator[asyncio.Semaphore]:
    """Close what connects to an address until the context ends; each releases the semaphore."""
    refused = asyncio.Semaphore(0)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        refused.release()

    host, _, port = address.rpartition(":")
    async with await asyncio.start_server(refuse, host, int(port)):
        yield refused


@dataclass
class SilentServer:
    """A server that takes connections and says nothing, such as its part of a TLS handshake."""

    url: str = ""
    waiting: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    closed: asyncio.Queue[float] = field(default_factory=asyncio.Queue)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        self.waiting.put_nowait(None)
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.closed.put_nowait(time.perf_counter())
        writer.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[SilentServer]:
    """Serve on a free port of loopback until the context ends."""
    silent = SilentServer()
    async with await asyncio.start_server(silent.connect, "127.0.0.1", 0) as server:
        silent.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield silent


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, which is looked at in each turn of the event loop."""
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0)
