"""Remembers what has exhausted workers of late."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from typing_extensions import override

_OFFENCES = 3
_BARRED_S = 5.0
_SUSPECTED_S = 5.0
_MAX_REMEMBERED = 1000
_MAX_PROVEN = 10_000

_Key = TypeVar("_Key")
_Told = TypeVar("_Told")


class Errand(NamedTuple):
    """What a worker is to do: a job, of a source, for a caller, whose name may be empty.

    The source is known by its hash, so that fetching it again changes nothing.
    """

    caller: str
    source: bytes
    job: bytes

    @override
    def __repr__(self) -> str:
        # Variables are in it.
        return "Errand()"


class Offenders:
    """Bars what has exhausted workers several times in a row, for some seconds.

    That is a job, which is a source with its variables, as it would do so again. A source is barred
    with whatever variables while it has done nothing else: what has been rendered for anybody is
    barred for nobody because of what others fill in. Until it is, a source that has exhausted a
    worker for a caller is a suspect for that caller. `clock` tells seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs = _Counts(clock)
        self._sources = _Counts(clock)
        self._suspects: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        self._proven: OrderedDict[bytes, None] = OrderedDict()

    def barred_s(self, errand: Errand) -> float:
        """Return for how long an errand is not to be run; 0 where it may be."""
        # Whose source has done nothing wrong has no job that has.
        if errand.source not in self._sources:
            return 0.0
        barred_s = self._jobs.barred_s(_key(errand))
        if errand.source in self._proven:
            return barred_s
        return max(barred_s, self._sources.barred_s(errand.source))

    def is_suspect(self, errand: Errand) -> bool:
        """Tell whether an errand may well exhaust a worker."""
        since = self._suspects.get((errand.caller, errand.source))
        return since is not None and self._clock() - since < _SUSPECTED_S

    def offend(self, errand: Errand) -> None:
        """Count one time that an errand has exhausted a worker."""
        self._jobs.count(_key(errand))
        self._sources.count(errand.source)
        suspect = (errand.caller, errand.source)
        self._suspects.pop(suspect, None)
        _remember(self._suspects, suspect, self._clock(), _MAX_REMEMBERED)

    def forgive(self, errand: Errand) -> None:
        """Begin anew to count for an errand that has come back in time."""
        if errand.source in self._sources:
            self._jobs.forget(_key(errand))
            self._sources.forgive(errand.source)

    def prove(self, source: bytes) -> None:
        """Remember that a source can be rendered."""
        if source in self._proven:
            self._proven.move_to_end(source)
        else:
            _remember(self._proven, source, None, _MAX_PROVEN)


class _Counts:
    """How often each has offended in a row, and when it did last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def barred_s(self, key: bytes) -> float:
        count, since = self._counts.get(key, (0, 0.0))
        if count < _OFFENCES:
            return 0.0
        left = since + _BARRED_S - self._clock()
        if left <= 0:
            self.forgive(key)
            return 0.0
        return left

    def count(self, key: bytes) -> None:
        count, _ = self._counts.pop(key, (0, 0.0))
        _remember(self._counts, key, (count + 1, self._clock()), _MAX_REMEMBERED)

    def forgive(self, key: bytes) -> None:
        """Count from none on, and know still that it has offended."""
        if key in self._counts:
            self._counts[key] = (0, 0.0)

    def forget(self, key: bytes) -> None:
        self._counts.pop(key, None)


def _remember(known: "OrderedDict[_Key, _Told]", key: _Key, told: _Told, most: int) -> None:
    known[key] = told
    if len(known) > most:
        known.popitem(last=False)


def _key(errand: Errand) -> bytes:
    return hashlib.sha256(errand.job).digest()
