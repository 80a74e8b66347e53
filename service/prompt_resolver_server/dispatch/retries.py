"""When a call that failed is worth another attempt: where, how soon, and how often in all."""

from collections.abc import Callable
from enum import IntEnum

from ..domain.errors import Reason, ResolverError, UpstreamError
from ..runtime.backoff import backoff_s

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_RESERVE = 10
# A retry costs as much as this many calls bring in.
_CALLS_PER_RETRY = 5


class Remedy(IntEnum):
    """Where another attempt may succeed, from the fewest places to the most.

    Each includes those before it.
    """

    NOWHERE = 0
    OTHER_ALIAS = 1
    OTHER_DEPLOYMENT = 2
    SAME_DEPLOYMENT = 3


_PASSING = frozenset(
    {
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.UPSTREAM_OVERLOADED,
        Reason.UPSTREAM_RATE_LIMITED,
        Reason.UPSTREAM_TIMEOUT,
    }
)
# The provider, its key or its model is at fault, and time alone does not help.
_LASTING = frozenset(
    {
        Reason.UPSTREAM_QUOTA,
        Reason.UPSTREAM_AUTH,
        Reason.UPSTREAM_TLS,
        Reason.UPSTREAM_PROTOCOL,
        Reason.UPSTREAM_TRUNCATED,
        Reason.MODEL_NOT_FOUND,
        Reason.PROVIDER_KEY_MISSING,
    }
)
# The request is at fault, for this model or this provider.
_OF_THE_MODEL = frozenset({Reason.CONTEXT_LENGTH, Reason.CONTENT_BLOCKED})


class LateError(UpstreamError):
    """A provider has not begun to answer in its share of a call's time, of which it had one."""


def find_remedy(error: ResolverError) -> Remedy:
    """Tell where another attempt may succeed, as long as the caller has seen nothing of this one.

    An answer that was cut short is not asked for again where it was, as its tokens are spent; nor
    is one that has not begun in its share of the time, as what is left is that of others.
    """
    if isinstance(error, LateError):
        return Remedy.OTHER_DEPLOYMENT
    reason = error.reason
    untouched = reason is Reason.UPSTREAM_TRUNCATED and error.metadata.get("chunks") == "0"
    if reason in _PASSING or untouched:
        return Remedy.SAME_DEPLOYMENT
    if reason in _LASTING:
        return Remedy.OTHER_DEPLOYMENT
    return Remedy.OTHER_ALIAS if reason in _OF_THE_MODEL else Remedy.NOWHERE


def pause_s(retry: int, draw: Callable[[], float], *, after_s: float = 0.0) -> float:
    """Return how long to wait before a retry, the first of which is 0.

    It is added to the time that a provider asked for, `after_s`, of which it may be a tenth. `draw`
    returns numbers from 0 to 1. Any part of the longest pause is as likely as any other, so that
    calls that failed together do not come back together.
    """
    longest_s = backoff_s(retry, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
    return draw() * max(longest_s, after_s / 10)


class RetryBudget:
    """How many retries a provider may get: one for five calls, and a reserve of ten.

    Where every call fails, retries add a fifth to the load, and no more.
    """

    def __init__(self) -> None:
        self._balance = _RESERVE * _CALLS_PER_RETRY

    def deposit(self) -> None:
        """Count a call."""
        self._balance = min(self._balance + 1, _RESERVE * _CALLS_PER_RETRY)

    def withdraw(self) -> bool:
        """Take out a retry. Return whether there was one."""
        if self._balance < _CALLS_PER_RETRY:
            return False
        self._balance -= _CALLS_PER_RETRY
        return True
