"""The addresses of hosts, by their names."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence

from aiohappyeyeballs import AddrInfoType

Addresses = Sequence[AddrInfoType]
LookUp = Callable[[str, int], Coroutine[None, None, Addresses]]


async def look_up(host: str, port: int) -> Addresses:
    """Ask the system for a host's addresses."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Names:
    """Looks names up, each once at a time, however many ask.

    The system looks up a few names at once: many who ask for one that is slow would hold up all
    the others.
    """

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._running: dict[tuple[str, int], asyncio.Task[Addresses]] = {}

    async def find(self, host: str, port: int) -> Addresses:
        """Return a host's addresses. Raises what the look-up does."""
        name = (host, port)
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(self._look_up(host, port))
            task.add_done_callback(lambda _: self._running.pop(name))
        return await asyncio.shield(task)
