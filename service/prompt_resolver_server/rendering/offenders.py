"""Remembers which templates keep exhausting the workers."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

_OFFENCES = 3
_BARRED_S = 5.0
_MAX_REMEMBERED = 1000


class Offenders:
    """Bars a source for some seconds once it has exhausted its budget several times in a row.

    It is known by what it is, so that fetching it again changes nothing. `clock` tells seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def is_barred(self, source: bytes) -> bool:
        """Tell whether a source is not to be rendered now."""
        if not self._counts:
            return False
        count, since = self._counts.get(_key(source), (0, 0.0))
        if count < _OFFENCES:
            return False
        if self._clock() - since < _BARRED_S:
            return True
        self.forgive(source)
        return False

    def offend(self, source: bytes) -> None:
        """Count one time that a source has exhausted its budget."""
        key = _key(source)
        count, _ = self._counts.pop(key, (0, 0.0))
        self._counts[key] = (count + 1, self._clock())
        if len(self._counts) > _MAX_REMEMBERED:
            self._counts.popitem(last=False)

    def forgive(self, source: bytes) -> None:
        """Forget what a source did."""
        if self._counts:
            self._counts.pop(_key(source), None)


def _key(source: bytes) -> bytes:
    return hashlib.sha256(source).digest()
