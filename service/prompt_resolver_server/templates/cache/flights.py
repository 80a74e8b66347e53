"""One fetch in flight for each key, however many callers wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...domain.errors import Reason, ServerError

# What it takes at most until a caller has what is held.
_MARGIN_S = 0.1
_MARGIN = 0.1

_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Flight(Generic[_Result]):
    """A fetch that runs: a task of its own, which no caller that leaves takes along.

    Flights are numbered in the order of their beginning.
    """

    number: int
    task: asyncio.Task[_Result]

    async def wait(self, deadline: float) -> _Result:
        """Return what the fetch returns. Raises what it raises, `TimeoutError`, and DRAINING.

        `deadline` is on the event loop's clock.
        """
        remaining_s = deadline - asyncio.get_running_loop().time()
        await asyncio.wait((self.task,), timeout=max(0.0, remaining_s))
        if not self.task.done():
            raise TimeoutError
        if self.task.cancelled():
            # Not the waiter was cancelled, but everything is being closed.
            raise ServerError(Reason.DRAINING, "this server is shutting down")
        return self.task.result()


def ahead_of(deadline: float) -> float:
    """Return until when to wait so that something else still reaches the caller by its deadline.

    Both are on the event loop's clock.
    """
    left_s = max(0.0, deadline - asyncio.get_running_loop().time())
    return deadline - min(_MARGIN_S, _MARGIN * left_s)


class Flights(Generic[_Key, _Result]):
    """The fetches that run, by key."""

    def __init__(self) -> None:
        self._running: dict[_Key, Flight[_Result]] = {}
        self._forgotten: set[asyncio.Task[_Result]] = set()
        self._begun = 0

    @property
    def last_number(self) -> int:
        """The number of the flight that began last."""
        return self._begun

    def get(self, key: _Key) -> Flight[_Result] | None:
        """Return the flight that runs for a key, if one does."""
        return self._running.get(key)

    def keys(self) -> Iterable[_Key]:
        """Return the keys of the flights that run. Not to be changed meanwhile."""
        return self._running.keys()

    def is_current(self, key: _Key) -> bool:
        """Tell whether the task that asks is still the flight of a key."""
        flight = self._running.get(key)
        return flight is not None and flight.task is asyncio.current_task()

    @property
    def forgotten(self) -> Collection[asyncio.Task[_Result]]:
        """The flights that still run, for those who wait, and are forgotten."""
        return self._forgotten

    def forget(self, key: _Key) -> None:
        """Let the next fetch for a key begin anew. The one that runs ends for those who wait."""
        flight = self._running.pop(key, None)
        if flight is not None:
            self._forgotten.add(flight.task)
            flight.task.add_done_callback(self._forgotten.discard)

    def begin(self, key: _Key, fetch: Callable[[], Awaitable[_Result]]) -> Flight[_Result]:
        """Begin a fetch for a key that has none."""

        async def run() -> _Result:
            try:
                return await fetch()
            finally:
                # Before the task is done: who wakes up then may begin the next flight.
                if self.is_current(key):
                    del self._running[key]

        self._begun += 1
        flight = Flight(self._begun, asyncio.ensure_future(run()))
        self._running[key] = flight
        return flight

    async def aclose(self) -> None:
        """End all fetches."""
        tasks = [*self._forgotten, *(flight.task for flight in self._running.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
