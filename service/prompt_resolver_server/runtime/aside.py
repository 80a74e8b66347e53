"""Work that would hold up the event loop, done beside it."""

import asyncio
import weakref
from collections.abc import Callable
from typing import TypeVar

from .threads import Threads

_T = TypeVar("_T")


class Aside:
    """One thread, in which long work is done piece by piece.

    It is a thread of its own, so that this work keeps none from what waits for disks and stores.
    """

    def __init__(self, name: str) -> None:
        self._threads = Threads(1, name)
        # Which would wait for more work for ever.
        weakref.finalize(self, self._threads.shutdown, wait=False)

    async def do(self, work: Callable[[], _T]) -> _T:
        """Return what some work returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
