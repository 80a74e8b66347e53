"""Which rows are limited by their provider, and until when."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from ..domain.aliases import NO_ROW, Deployment
from ..domain.errors import Reason, ResolverError
from ..runtime.backoff import backoff_s

_LONGEST_S = 60.0
"""Limits may be lifted before their time, so that a row is tried again after a minute."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 16.0


class _Limit(NamedTuple):
    """Until when a row is put aside, and how often it was in a row without a time being named."""

    until: float
    pauses: int


class Cooldowns:
    """The rows that are put aside: as long as their provider asks for, and at most a minute.

    Where it names no time it is a second, and twice as long each time that it happens again, up to
    sixteen. A row is a model with a key at an address, which is what providers limit: `rows` has
    what is equal of two rows that are limited together. `clock` is monotonic.
    """

    def __init__(
        self, clock: Callable[[], float], rows: Mapping[int, Hashable] | None = None
    ) -> None:
        self._clock = clock
        self._rows = rows or {}
        self.limits: dict[Hashable, _Limit] = {}
        """Those of the rows, by what is equal of them."""

    def take_over(self, before: "Cooldowns") -> None:
        """Know what those of another configuration know, and what they learn of its last calls."""
        self.limits = before.limits
        # What is longer ago counts no more.
        for key, limit in [*self.limits.items()]:
            if limit.until + _LONGEST_S < self._clock():
                del self.limits[key]

    def note(self, row: int, error: ResolverError) -> None:
        """Put a row aside if that is what its failure asks for."""
        limited = error.reason is Reason.UPSTREAM_RATE_LIMITED or error.retry_after_s is not None
        if row == NO_ROW or not limited:
            return
        key, now = self._key(row), self._clock()
        if error.retry_after_s is not None:
            self.limits[key] = _Limit(now + min(error.retry_after_s, _LONGEST_S), 0)
            return
        last = self.limits.get(key, _Limit(0.0, 0))
        if now < last.until:
            # It was asked before it was put aside.
            return
        pauses = last.pauses if now < last.until + _LONGEST_S else 0
        pause_s = backoff_s(pauses, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
        self.limits[key] = _Limit(now + pause_s, pauses + 1)

    def holds(self, row: int) -> bool:
        """Tell whether a row is put aside."""
        limit = self.limits.get(self._key(row))
        return limit is not None and self._clock() < limit.until

    def wait_s(self, row: int) -> float:
        """Return in how many seconds a row that was limited may be asked again: one at least."""
        limit = self.limits.get(self._key(row))
        left_s = limit.until - self._clock() if limit is not None else 0.0
        return max(_FIRST_PAUSE_S, left_s)

    def free(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Return those that are not put aside; where all are, the one that is free first."""
        if not self.limits or len(deployments) < 2:
            return deployments
        free = [each for each in deployments if not self.holds(each.row)]
        return free or [min(deployments, key=lambda each: self.limits[self._key(each.row)].until)]

    def _key(self, row: int) -> Hashable:
        return self._rows.get(row, row)
