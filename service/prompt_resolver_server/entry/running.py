"""The calls that run, whichever door they came through."""

import asyncio
from typing import Any

from ..runtime.shutdown import cut_off

LAST_WORDS_S = 2.0
"""What a call gets for telling its caller what went wrong, who may not read it."""

CALM_S = 0.1
"""How long nothing has to come, where what is on its way is to have come."""

# Several times as long as anything is held back.
_TO_SPARE_S = 1.0


class Running:
    """The tasks of the calls that run, and whether more may come.

    `holding` tells that none may end for now. `refusing` tells that no more may come, and that
    those that last as long as their callers want have been ended; `draining` that the others that
    were left have been cut off.
    """

    def __init__(self) -> None:
        self.holding = False
        self.refusing = False
        self.draining = False
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lasting: set[asyncio.Task[Any]] = set()
        self._begun = 0
        self._quiet: asyncio.Event | None = None

    def add(self, task: asyncio.Task[Any], *, lasting: bool = False) -> None:
        """Note a call that begins; `lasting` if it ends only when its caller wants it to."""
        self._begun += 1
        self._tasks.add(task)
        if lasting:
            self._lasting.add(task)

    def remove(self, task: asyncio.Task[Any]) -> None:
        """Note a call that has ended."""
        self._tasks.discard(task)
        self._lasting.discard(task)
        if self._quiet is not None and not self._tasks:
            self._quiet.set()
            self._quiet = None

    def lasts_no_more(self, task: asyncio.Task[Any]) -> None:
        """Note that a call is about to end by itself, and need not be ended."""
        self._lasting.discard(task)

    async def outlast(self) -> None:
        """Wait until the calls have ended that run now, but for lasting ones."""
        if tasks := self._tasks - self._lasting:
            await asyncio.wait(tasks)

    def hold(self) -> None:
        """Let no call end until `release`: a door is about to be closed.

        Most callers call again as soon as they are answered. None of them does so in the moment in
        which the door is closed, when what comes is cancelled, or overlooked.
        """
        self.holding = True

    def release(self) -> None:
        """Let calls end, from now on."""
        self.holding = False
        self._released.set()

    async def hold_back(self, left_s: float | None = None) -> None:
        """Wait with the end of a call until it may end, unless its caller has little time left."""
        if self.holding and (left_s is None or left_s > _TO_SPARE_S):
            await self._released.wait()

    def refuse(self) -> None:
        """Let no more calls in, and end those that would not end: the service is shutting down."""
        self.refusing = True
        for task in self._lasting:
            task.cancel()

    async def idle(self) -> None:
        """Wait until no call has run for a moment: one that was let in may yet have to begin."""
        begun = -1
        while self._tasks or begun != self._begun:
            begun = self._begun
            if self._tasks:
                quiet = self._quiet = self._quiet or asyncio.Event()
                await quiet.wait()
            await asyncio.sleep(CALM_S)

    def end_all(self) -> int:
        """End the calls that still run, with DRAINING. Return how many those are."""
        self.draining = True
        for task in self._tasks:
            cut_off(task)
        return len(self._tasks)
