"""The calls that run, whichever door they came through."""

import asyncio
from typing import Any

from ..runtime.shutdown import cut_off

LAST_WORDS_S = 2.0
"""What a call gets for telling its caller what went wrong, who may not read it."""

_CALM_S = 0.1


class Running:
    """The tasks of the calls that run, and whether more may come.

    `refusing` tells that no more may, and that those that last as long as their callers want have
    been ended; `draining` that the others that were left have been cut off.
    """

    def __init__(self) -> None:
        self.refusing = False
        self.draining = False
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

    async def outlast(self) -> None:
        """Wait until the calls have ended that run now, but for lasting ones."""
        if tasks := self._tasks - self._lasting:
            await asyncio.wait(tasks)

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
            await asyncio.sleep(_CALM_S)

    def end_all(self) -> int:
        """End the calls that still run, with DRAINING. Return how many those are."""
        self.draining = True
        for task in self._tasks:
            cut_off(task)
        return len(self._tasks)
