"""Answers are taken in turns, between which calls begin.

gRPC lets calls in one by one. Each takes some rounds of the event loop, and a moment in which other
threads of gRPC's run. Where many answers have arrived, their work makes each round long, and until
it is done hardly a call is let in, while the providers have nothing to do.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_AT_ONCE = 4
"""How many answers are taken, and how many calls may begin, before it is the others' turn."""
_ROUNDS = 8
"""How many rounds of the event loop it takes to let a call in. If none has begun, none waits."""
_LONGEST_S = 0.006
"""How long both turns may take together: where there is much else to do, rounds are long."""


class Turns:
    """The turns of one event loop. `clock` tells the time, as the loop itself does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._loop = loop
        self._clock = clock or loop.time
        self._arrived: deque[asyncio.Future[None]] = deque()
        self._taking_turns = False
        self._taken = 0
        self._begun = 0
        self._begun_before = 0
        self._rounds_left = 0
        self._until = 0.0

    def begin(self) -> None:
        """Have it known that a call was let in."""
        self._begun += 1
        self._rounds_left = _ROUNDS

    def take(self, answer: asyncio.Future[None]) -> None:
        """Wake who waits for an answer that has arrived: now, or when it is its turn.

        Nothing happens to one that is done by then.
        """
        if not self._taking_turns:
            self._taking_turns = True
            self._start_over()
            self._loop.call_soon(self._next)
        if self._taken < _AT_ONCE:
            self._wake(answer)
        else:
            self._arrived.append(answer)

    def _next(self) -> None:
        """Go through one round of the event loop."""
        if not self._arrived:
            self._taking_turns = False
            return
        self._loop.call_soon(self._next)
        may_begin = self._begun < self._begun_before + _AT_ONCE
        if may_begin and self._rounds_left > 0 and self._clock() < self._until:
            self._rounds_left -= 1
            _let_other_threads_run()
            return
        self._start_over()
        while self._arrived and self._taken < _AT_ONCE:
            self._wake(self._arrived.popleft())

    def _start_over(self) -> None:
        self._taken = 0
        self._begun_before = self._begun
        self._rounds_left = _ROUNDS
        self._until = self._clock() + _LONGEST_S

    def _wake(self, answer: asyncio.Future[None]) -> None:
        if not answer.done():
            self._taken += 1
            answer.set_result(None)


def _let_other_threads_run() -> None:
    # On a processor of their own they do in any case.
    if hasattr(os, "sched_yield"):
        with suppress(OSError):
            os.sched_yield()
