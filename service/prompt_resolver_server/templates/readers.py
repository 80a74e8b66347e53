"""Threads that wait for the disk of one store, so that one that hangs holds up nobody else.

A volume of a network may not answer for minutes, or ever, and nothing ends a thread that waits for
it. So they are few, they belong to one store, and no exit of this process waits for them.
"""

import asyncio
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from typing import Any, TypeVar

from ..domain.errors import Reason, StoreError
from ..runtime.threads import Threads

# Far more than a look at a few files takes where a disk answers, and little enough to wait for.
_BRIEFLY_S = 0.1

_Result = TypeVar("_Result")


class Readers:
    """At most so many threads, each of which is made when it is needed.

    What takes longer than `timeout_s` is left to its thread, which is missing until the disk has
    answered. Meanwhile nothing else may take longer than a moment, and where all threads are
    missing, nothing is begun. They are named by their `task` and the store, whose name errors tell.
    Lives on one event loop.
    """

    def __init__(
        self, *, store: str, threads: int, timeout_s: float = inf, task: str = "read"
    ) -> None:
        self._store = store
        self._name = f"{task}-{store}"
        self._most = threads
        self._timeout_s = timeout_s
        self._pool = pool = Threads(threads, self._name)
        self._left: list[tuple[Future[Any], float]] = []
        self._end = weakref.finalize(self, pool.shutdown, wait=False)

    @property
    def is_silent(self) -> bool:
        """Whether all threads wait for a disk that does not answer."""
        return self._hung() >= self._most

    async def do(self, work: Callable[[], _Result], *, briefly: bool = False) -> _Result:
        """Return what some work returns, or raise what it raises.

        `briefly` is for what others can do without, so that it may take a moment only. Raises
        STORE_UNAVAILABLE where the disk does not answer in time.
        """
        if (hung := self._hung()) >= self._most:
            raise self._no_answer()
        limit_s = self._timeout_s
        if briefly or hung:
            limit_s = min(limit_s, _BRIEFLY_S)
        until = time.monotonic() + limit_s
        job = self._begin(work)
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            until = time.monotonic()
            raise self._no_answer() from None
        finally:
            # Whoever waited for it may have left before.
            if job.running():
                self._left.append((job, until))

    def close(self) -> None:
        """End the threads once they have done what was begun."""
        self._end()

    def _hung(self) -> int:
        """Return how many threads do what nobody waits for any more, and should have done it."""
        now = time.monotonic()
        self._left = [each for each in self._left if not each[0].done()]
        return sum(until <= now for _, until in self._left)

    def _begin(self, work: Callable[[], _Result]) -> Future[_Result]:
        if self._end.alive:
            return self._pool.submit(work)
        # Of a call that had found the store before it was replaced.
        pool = Threads(1, self._name)
        job = pool.submit(work)
        pool.shutdown(wait=False)
        return job

    def _no_answer(self) -> StoreError:
        return StoreError(
            Reason.STORE_UNAVAILABLE,
            f"store {self._store!r}: its disk does not answer",
            metadata={"store": self._store, "problem": "timeout"},
        )
