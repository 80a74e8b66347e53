"""How late the event loop is: how long something that is due waits for what the loop is doing."""

import asyncio
import time
from collections.abc import Callable

_EVERY_S = 0.1


class LoopLag:
    """Observes ten times a second by how many seconds its event loop is late, while it is open.

    A loop that was held up for a while counts as often as it should have been looked at meanwhile:
    a tenth of a second that nobody was served counts like any other. Made inside of a running event
    loop.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        # The loop's own clock stands still while the loop is busy.
        self._due = time.monotonic()
        self._timer = self._loop.call_soon(self._look)

    def close(self) -> None:
        """Observe nothing more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        while self._due <= now:
            self._observe(now - self._due)
            self._due += _EVERY_S
        self._timer = self._loop.call_later(self._due - now, self._look)
