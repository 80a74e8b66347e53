"""A provider in a thread of its own, which sends as fast as its caller takes it, and no longer."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

_PORTION = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What is sent on each connection: a beginning, and a part over and over, up to a size."""

    head: bytes
    part: bytes
    size: int = 200 << 20

    def portions(self) -> Iterator[bytes]:
        """Return all of it, in portions that are large enough."""
        portion = self.part * max(1, _PORTION // len(self.part))
        yield self.head
        for _ in range(self.size // len(portion)):
            yield portion


@asynccontextmanager
async def firehose(flow: Flow) -> AsyncIterator[str]:
    """Serve on a free port of loopback, and yield the base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, flow))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            # The loop goes on: it has connections to close.
            await asyncio.to_thread(thread.join)


def _serve(listener: socket.socket, flow: Flow) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        # Whoever has had enough hangs up.
        with connection, suppress(OSError):
            connection.recv(65536)
            for portion in flow.portions():
                connection.sendall(portion)
