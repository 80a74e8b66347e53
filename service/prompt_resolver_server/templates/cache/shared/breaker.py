"""A circuit breaker: what has failed several times in a row is left alone for a while."""

import time
from collections.abc import Callable

from ....runtime.backoff import backoff_s

_MOST_FAILURES = 3
_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 8.0


class Breaker:
    """Tells whether it is worth trying. After each pause one try decides, and pauses grow.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def admits(self) -> bool:
        """Tell whether to try now. Whoever is told so tells how it went."""
        if self._clock() < self._open_until:
            return False
        if self._failures >= _MOST_FAILURES:
            self._failures += 1
            self._pause()
        return True

    def succeeded(self) -> None:
        """Take note that a try went well."""
        self._failures, self._open_until = 0, 0.0

    def failed(self) -> bool:
        """Take note that a try failed; return whether the first pause begins with it.

        What was tried before a pause began does not make it longer.
        """
        if self._failures >= _MOST_FAILURES:
            return False
        self._failures += 1
        if self._failures < _MOST_FAILURES:
            return False
        self._pause()
        return True

    def _pause(self) -> None:
        doublings = self._failures - _MOST_FAILURES
        pause_s = backoff_s(doublings, first_s=_FIRST_PAUSE_S, longest_s=_LAST_PAUSE_S)
        self._open_until = self._clock() + pause_s
