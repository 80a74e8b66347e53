"""Which failures are worth another attempt, how soon, and how many."""

from collections import Counter
from random import Random

import pytest

from prompt_resolver_server.dispatch.retries import Remedy, RetryBudget, find_remedy, pause_s
from prompt_resolver_server.domain.errors import Reason, UpstreamError


def remedy(reason: Reason, **metadata: str) -> Remedy:
    return find_remedy(UpstreamError(reason, "failed", metadata=metadata))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.UPSTREAM_UNAVAILABLE, Remedy.SAME_DEPLOYMENT),
        (Reason.UPSTREAM_OVERLOADED, Remedy.SAME_DEPLOYMENT),
        (Reason.UPSTREAM_RATE_LIMITED, Remedy.SAME_DEPLOYMENT),
        (Reason.UPSTREAM_TIMEOUT, Remedy.SAME_DEPLOYMENT),
        (Reason.UPSTREAM_QUOTA, Remedy.OTHER_DEPLOYMENT),
        (Reason.UPSTREAM_AUTH, Remedy.OTHER_DEPLOYMENT),
        (Reason.UPSTREAM_TLS, Remedy.OTHER_DEPLOYMENT),
        (Reason.UPSTREAM_PROTOCOL, Remedy.OTHER_DEPLOYMENT),
        (Reason.MODEL_NOT_FOUND, Remedy.OTHER_DEPLOYMENT),
        (Reason.PROVIDER_KEY_MISSING, Remedy.OTHER_DEPLOYMENT),
        (Reason.CONTEXT_LENGTH, Remedy.OTHER_ALIAS),
        (Reason.CONTENT_BLOCKED, Remedy.OTHER_ALIAS),
    ],
)
def test_remedies(reason: Reason, expected: Remedy) -> None:
    """What passes is tried again where it was; what lasts is tried elsewhere."""
    assert remedy(reason) is expected


def test_everything_else_has_no_remedy() -> None:
    """A failure of the call, the store, the template or the server is told as it is."""
    mended = {reason for reason in Reason if remedy(reason) is not Remedy.NOWHERE}

    assert len(mended) == 13
    assert not {reason for reason in mended if reason.startswith(("STORE", "TEMPLATE", "CALLER"))}
    for reason in (Reason.UPSTREAM_REJECTED, Reason.UPSTREAM_AUTH_CALLER_KEY, Reason.DEADLINE):
        assert reason not in mended


def test_answer_that_was_cut_short() -> None:
    """An answer of which nothing had come is asked for again; one that had begun costs tokens."""
    assert remedy(Reason.UPSTREAM_TRUNCATED, chunks="0") is Remedy.SAME_DEPLOYMENT
    assert remedy(Reason.UPSTREAM_TRUNCATED, chunks="3") is Remedy.OTHER_DEPLOYMENT


def test_pauses() -> None:
    """The longest pause doubles from a quarter of a second up to eight; any part of it may come."""
    assert [pause_s(retry, lambda: 1.0) for retry in (0, 1, 2, 3, 4, 5, 6, 10_000)] == [
        *(0.25, 0.5, 1, 2, 4, 8, 8, 8),
    ]
    assert pause_s(3, lambda: 0.0) == 0
    assert pause_s(3, lambda: 0.5) == 1


def test_pauses_after_a_time_that_was_asked_for() -> None:
    """What comes on top of a provider's own time grows with it."""
    assert pause_s(0, lambda: 1.0, after_s=1) == 0.25
    assert pause_s(0, lambda: 1.0, after_s=60) == 6
    assert pause_s(0, lambda: 0.0, after_s=60) == 0


def test_retries_are_spread() -> None:
    """Calls that failed together come back evenly spread, whatever the random numbers are."""
    draw, calls, bins = Random(11).random, 4000, 20
    counts = Counter(int(pause_s(2, draw) * bins) for _ in range(calls))

    even = calls / bins
    chi_squared = sum((counts[each] - even) ** 2 / even for each in range(bins))

    # One in a thousand of even spreads is less even than this.
    assert chi_squared < 43.8


def test_budget_bounds_the_load() -> None:
    """Where every call fails, retries add a fifth to the load, and a reserve of ten once."""
    budget = RetryBudget()
    calls, retries = 10_000, 0

    for _ in range(calls):
        budget.deposit()
        while budget.withdraw():
            retries += 1

    assert calls // 5 <= retries <= calls // 5 + 10


def test_budget_is_not_saved_up() -> None:
    """However many calls go well, no more than ten retries can come at once."""
    budget = RetryBudget()
    for _ in range(10_000):
        budget.deposit()

    assert sum(budget.withdraw() for _ in range(100)) == 10
