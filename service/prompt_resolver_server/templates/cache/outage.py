"""When a store that fails is asked again.

Each key waits in steps of its own, which grow. Beside them the store as a whole is tried every now
and then by whichever key is asked for: so its return is noticed soon, however many keys wait, and
then none of them waits on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from ...domain.errors import Reason, ResolverError
from ...runtime.backoff import backoff_s

_FIRST_S = 0.25
# A store that is back is asked within this time.
_PROBE_S = 1.5
# As long as a key waits, and as long as a store may ask us to leave it alone.
_LONGEST_S = 60.0
_JITTER = 0.5

_OF_ONE_PROMPT = frozenset({"garbage", "too_large", "unreadable"})
_TOO_MANY_REQUESTS = "429"


@dataclass(frozen=True, slots=True)
class Retry:
    """When a store may be asked for a key again, after so many failures in a row.

    Not before `soonest_at`, and from `latest_at` on whatever is known of the store.
    """

    failures: int = 0
    soonest_at: float = -inf
    latest_at: float = -inf

    def now(self) -> "Retry":
        """Return what allows to ask at once, however many failures there were."""
        return Retry(self.failures)

    @classmethod
    def at(cls, time: float) -> "Retry":
        """Return what allows to ask from a time on, after an answer that was no failure."""
        return cls(0, time, time)


AT_ONCE = Retry()


class Outage:
    """Whether one store is down, and what follows. Times are the cache's clock's.

    `draw` gives numbers from 0 to 1, by which waits are shortened.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self.is_down = False
        self.is_told = False
        """Whether the log has been told of a failure, and not yet of its end."""
        self._failed_at = -inf
        self._probe_at = -inf
        self._quiet_until = -inf

    def admits(self, retry: Retry, now: float) -> bool:
        """Tell whether the store may be asked for a key again. Whoever is told so asks it now.

        While it is down, that tries it for all keys.
        """
        if self.wait_s(retry, now) > 0:
            return False
        self._probe_at = now + _PROBE_S
        return True

    def wait_s(self, retry: Retry, now: float) -> float:
        """Return in how many seconds the store may be asked for a key, by all that is known."""
        due_at = max(retry.soonest_at, self._quiet_until)
        if self.is_down:
            due_at = max(due_at, min(retry.latest_at, self._probe_at))
        return max(0.0, due_at - now)

    def answered(self, at: float) -> None:
        """Take note that the store was there at a time, which counts if it failed before that."""
        if at >= self._failed_at:
            self.is_down = False
            self._quiet_until = -inf

    def undecided(self) -> None:
        """Take note that what the store did tells nothing of it, so that another key tries it."""
        self._probe_at = -inf

    def failed(self, error: Exception, before: Retry, now: float, *, own_key: bool) -> Retry:
        """Take note that the store failed for a key, and return when that one may ask again.

        `own_key` tells that the key of the store was the configured one: what the store does to a
        caller for asking too often is no other caller's matter.
        """
        wait_s = backoff_s(before.failures, first_s=_FIRST_S, longest_s=_LONGEST_S)
        wait_s *= 1 - _JITTER * self._draw()
        asked_s = 0.0
        if isinstance(error, ResolverError) and error.retry_after_s is not None:
            asked_s = min(error.retry_after_s, _LONGEST_S)
        soonest_at = now + max(min(wait_s, _PROBE_S), asked_s)
        latest_at = soonest_at
        if not _is_down(error, own_key=own_key):
            self.undecided()
        else:
            self.is_down = True
            self._failed_at = now
            self._quiet_until = max(self._quiet_until, now + asked_s)
            latest_at = now + max(wait_s, asked_s)
        return Retry(before.failures + 1, soonest_at, latest_at)


def _is_down(error: Exception, *, own_key: bool) -> bool:
    """Tell a store that fails for all prompts from one that fails for this prompt."""
    if not isinstance(error, ResolverError) or error.reason is not Reason.STORE_UNAVAILABLE:
        return False
    if error.metadata.get("problem") in _OF_ONE_PROMPT:
        return False
    status = error.metadata.get("http_status", "")
    if status == _TOO_MANY_REQUESTS:
        return own_key
    return not status or status.startswith("5")
