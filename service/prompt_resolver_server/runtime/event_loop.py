"""The event loop of the service: uvloop's, in which a name that is slow to be found harms no other.

The system looks a name up in a thread, which waits for many seconds where a name server is silent.
"""

import asyncio
import os
from typing import Any

import uvloop
from typing_extensions import override

# Half of them look names up. Unless told otherwise there are four.
_THREADS = 16


class EventLoop(uvloop.Loop):
    """Looks each name up once at a time, however many ask. Who leaves ends it for nobody else."""

    def __init__(self) -> None:
        super().__init__()
        # libuv reads it when it looks up the first name of this process.
        os.environ.setdefault("UV_THREADPOOL_SIZE", str(_THREADS))
        self._look_ups: dict[tuple[object, ...], asyncio.Task[list[Any]]] = {}

    @override
    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        question = (host, port, family, type, proto, flags)
        look_up = self._look_ups.get(question)
        if look_up is None:
            found = super().getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
            look_up = self._look_ups[question] = self.create_task(found)
            look_up.add_done_callback(lambda _: self._look_ups.pop(question))
        return await asyncio.shield(look_up)
