"""Alarms for what is given up after a while, with one timer for all of them.

A timer of its own for each wait costs more than everything else about reading what has arrived.
"""

import asyncio
from collections.abc import Callable

Alarm = Callable[[], None]

_LOOK_S = 0.05


class Alarms(dict[Alarm, float]):
    """The alarms of one event loop that have not gone off, and the time of each.

    None goes off before its time, or 50 ms after it. One that is popped does not go off.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def set(self, alarm: Alarm, time: float) -> None:
        """Have something called at a time of the event loop's clock."""
        self[alarm] = time
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def close(self) -> None:
        """Call nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Let those go off whose time has come, and look again while there are others."""
        now = self._loop.time()
        try:
            for alarm in [alarm for alarm, time in self.items() if time <= now]:
                # One may clear another.
                if self.pop(alarm, None) is not None:
                    alarm()
        finally:
            # What one of them fails at is nothing to the others.
            self._timer = self._loop.call_later(_LOOK_S, self._look) if self else None
