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

# What others may take while a disk seems to hang: more than one needs that does not.
_MOMENT_S = 0.1

LIST_S = 60.0
"""How long a list of all prompts may take to be made."""

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

    async def do(self, work: Callable[[], _Result]) -> _Result:
        """Return what some work returns, or raise what it raises.

        Raises STORE_UNAVAILABLE where the disk does not answer in time.
        """
        if self.is_silent:
            raise self._no_answer()
        limit_s = min(self._timeout_s, _MOMENT_S) if self._hung() else self._timeout_s
        until = time.monotonic() + limit_s
        try:
            job = self._begin(work)
        except RuntimeError:
            # The system has no more threads.
            raise self._no_answer() from None
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
            # Its failure has this frame, so the frame must not have the failure.
            del job

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
