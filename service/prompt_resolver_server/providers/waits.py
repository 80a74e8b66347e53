"""Waits that end once their time is up, with one timer for all of them.

A timer of its own for each wait costs more than everything else about reading what has arrived.
"""

import asyncio
from asyncio import Future

_LOOK_S = 0.05


class Waits:
    """The waits of one event loop. None ends before its time, or more than 50 ms thereafter."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[Future[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, waiter: Future[None], until: float) -> None:
        """Wait until a future is done, or until then, which is `TimeoutError`."""
        self._ends[waiter] = until
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
        try:
            await waiter
        finally:
            self._ends.pop(waiter, None)

    def close(self) -> None:
        """End no more waits."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """End the waits whose time is up, and look again for as long as there are others."""
        now = self._loop.time()
        for waiter in [waiter for waiter, until in self._ends.items() if until <= now]:
            del self._ends[waiter]
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._timer = self._loop.call_later(_LOOK_S, self._look) if self._ends else None
