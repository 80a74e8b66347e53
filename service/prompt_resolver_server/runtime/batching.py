"""Calls that come at nearly the same time are worked on one right after the other.

What takes a processor the most of a short call is that nothing of its way is in the caches any
more, as each packet of another call has been through them since. A call that is worked on right
after its like takes a third of the time, so a busy event loop gets more done by waiting for some.
"""

import asyncio
import time
from collections.abc import Callable

_WAIT_S = 0.002
"""How long a call waits for others at most."""
_MOST = 16
_LEAST = 4
"""How many are waited for at most, and how many even where fewer came the last time."""
_ENOUGH = 4.5
"""How many have to be together, on the average, to be worth the waiting."""
_WINDOW = 16
"""Of so many batches."""
_LONG_S = 0.005
"""How long a batch may keep the loop from everything else, but for one now and then."""
_BUSY, _STILL_BUSY = 0.5, 0.25
"""How much of its time an event loop has to be at work for calls to wait, and to go on with it."""
_SOON, _LATE = 64, 8192
"""After how many calls that do not wait it is tried whether waiting is worth it. Each time that it
is not, twice as many go on without."""


class Batches:
    """The calls of one event loop that wait for each other, while that is worth it.

    It is where the loop is busy and several come within two milliseconds. Elsewhere none waits, but
    for a few every now and then, to find out. `cpu_time` is the clock of the loop's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._loop = loop
        self._cpu_time = cpu_time
        self._since = loop.time(), cpu_time()
        self._begun, self._long = 0.0, 0
        self._on = False
        self._left = self._pause = _SOON
        self._calls = 0
        self._most = _MOST
        self._coming: list[asyncio.Future[None]] = []
        self._going: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def wanted(self) -> bool:
        """Tell whether a call that begins should `join` others, and then `part` from them."""
        if self._on:
            return True
        self._left -= 1
        if self._left > 0:
            return False
        self._on = self._is_busy(_BUSY)
        self._left = _WINDOW if self._on else self._pause
        self._calls, self._most = 0, _MOST
        return self._on

    async def join(self) -> None:
        """Wait until calls are to be worked on that have come at nearly the same time."""
        turn = self._loop.create_future()
        self._coming.append(turn)
        if len(self._coming) == 1:
            self._timer = self._loop.call_later(_WAIT_S, self._begin)
        elif len(self._coming) >= self._most:
            self._begin()
        await turn

    async def part(self) -> None:
        """Wait until the others are as far, so that what ends them is also done in one go."""
        turn = self._loop.create_future()
        if not self._going:
            self._loop.call_soon(self._end)
        self._going.append(turn)
        await turn

    def _is_busy(self, least: float) -> bool:
        """Tell whether the loop has been at work for so much of the time since the last answer."""
        (time_then, cpu_then), self._since = self._since, (self._loop.time(), self._cpu_time())
        time_now, cpu_now = self._since
        return cpu_now - cpu_then > least * (time_now - time_then)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        coming, self._coming = self._coming, []
        if self._on:
            self._count(sum(not turn.done() for turn in coming))
        # The loop comes to them one after the other, right before the calls, and after them.
        self._loop.call_soon(self._look)
        _wake(coming)
        self._loop.call_soon(self._look_again)

    def _count(self, calls: int) -> None:
        self._calls += calls
        if self._left == _WINDOW:
            # As many as call at a time: to wait for more would be to wait for nobody.
            self._most = max(calls, _LEAST)
        self._left -= 1
        if self._left > 0:
            return
        if self._calls >= _ENOUGH * _WINDOW and self._is_busy(_STILL_BUSY):
            self._left, self._pause = _WINDOW, _SOON
            self._calls, self._most = 0, _MOST
        else:
            self._stop()

    def _look(self) -> None:
        self._begun = self._cpu_time()

    def _look_again(self) -> None:
        """Stop where calls take long: next to that, it is nothing what caches save."""
        self._long = self._long + 1 if self._cpu_time() - self._begun > _LONG_S else 0
        if self._on and self._long > 1:
            self._stop()

    def _stop(self) -> None:
        """Have no call wait, for longer than the last time."""
        self._on = False
        self._left = self._pause = min(2 * self._pause, _LATE)
        self._since = self._loop.time(), self._cpu_time()

    def _end(self) -> None:
        going, self._going = self._going, []
        _wake(going)


def _wake(turns: list[asyncio.Future[None]]) -> None:
    for turn in turns:
        # One whose call has been cancelled is done.
        if not turn.done():
            turn.set_result(None)
