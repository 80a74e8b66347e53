"""How long the event loop is held, which is how long all others have to wait."""

import asyncio
import gc
import sys
import time
from typing import Self


class Turns:
    """Measures the turns of the event loop while it is entered.

    In the time of the processor, so that nobody else who keeps it busy is counted, and without what
    it takes to look for garbage among all that the tests have made before, or to count the lines
    that run, as coverage does.
    """

    longest_s = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.freeze()
        self._trace = sys.gettrace()
        sys.settrace(None)
        self._loop = asyncio.get_running_loop()
        self._began = time.thread_time()
        self._next = self._loop.call_soon(self._turn)
        return self

    def __exit__(self, *_: object) -> None:
        self._next.cancel()
        self._measure()
        sys.settrace(self._trace)
        gc.unfreeze()

    def _turn(self) -> None:
        self._measure()
        self._next = self._loop.call_soon(self._turn)

    def _measure(self) -> None:
        now = time.thread_time()
        self.longest_s = max(self.longest_s, now - self._began)
        self._began = now
