"""Which rows are put aside, and until when."""

import pytest

from prompt_resolver_server.dispatch.cooldowns import Cooldowns
from prompt_resolver_server.domain.aliases import NO_ROW, Deployment
from prompt_resolver_server.domain.errors import Reason, UpstreamError
from tests.support.clock import FakeClock

ROWS = tuple(Deployment(row=row) for row in range(3))


def limited(retry_after_s: float | None = None) -> UpstreamError:
    return UpstreamError(Reason.UPSTREAM_RATE_LIMITED, "limited", retry_after_s=retry_after_s)


def held_for(cooldowns: Cooldowns, clock: FakeClock, row: int = 0) -> float:
    """Return how long a row is put aside, to a tenth of a second, and move the clock to its end."""
    begin = clock.now
    while cooldowns.holds(row):
        clock.advance(0.1)
    return round(clock.now - begin, 1)


@pytest.mark.parametrize(("asked_s", "held_s"), [(0.0, 0.0), (7.5, 7.5), (60.0, 60.0), (1e6, 60.0)])
def test_time_that_the_provider_names(asked_s: float, held_s: float) -> None:
    """A row is put aside for as long as its provider asks for, and for a minute at the most."""
    clock = FakeClock()
    cooldowns = Cooldowns(clock)

    cooldowns.note(0, limited(asked_s))

    assert held_for(cooldowns, clock) == pytest.approx(held_s, abs=0.11)


def test_newest_answer_counts() -> None:
    """What the provider said last about its time is what counts, be it shorter."""
    clock = FakeClock()
    cooldowns = Cooldowns(clock)

    cooldowns.note(0, limited(30))
    cooldowns.note(0, limited(5))

    assert held_for(cooldowns, clock) == pytest.approx(5, abs=0.11)


def test_without_a_time() -> None:
    """Without a time the pause doubles from one second to sixteen, until a quiet minute passes."""
    clock = FakeClock()
    cooldowns = Cooldowns(clock)
    held = []

    for _ in range(6):
        cooldowns.note(0, limited())
        held.append(held_for(cooldowns, clock))
    clock.advance(61)
    cooldowns.note(0, limited())

    assert held == pytest.approx([1, 2, 4, 8, 16, 16], abs=0.11)
    assert held_for(cooldowns, clock) == pytest.approx(1, abs=0.11)


def test_calls_that_were_limited_together() -> None:
    """Of calls that ran at the same time the first one decides; the others add nothing to it."""
    clock = FakeClock()
    cooldowns = Cooldowns(clock)

    for _ in range(50):
        cooldowns.note(0, limited())

    assert held_for(cooldowns, clock) == pytest.approx(1, abs=0.11)


def test_overload_with_a_time() -> None:
    """An overload that names a time puts its row aside; any other failure does not."""
    cooldowns = Cooldowns(FakeClock())

    cooldowns.note(0, UpstreamError(Reason.UPSTREAM_UNAVAILABLE, "down", retry_after_s=5))
    cooldowns.note(1, UpstreamError(Reason.UPSTREAM_UNAVAILABLE, "down"))
    cooldowns.note(NO_ROW, limited(5))

    assert [cooldowns.holds(row) for row in (0, 1, NO_ROW)] == [True, False, False]


def test_rows_that_are_free() -> None:
    """Those that are not put aside serve; where all are, the one whose time is over first."""
    clock = FakeClock()
    cooldowns = Cooldowns(clock)

    assert cooldowns.free(ROWS) == ROWS
    cooldowns.note(0, limited(10))
    assert [each.row for each in cooldowns.free(ROWS)] == [1, 2]
    cooldowns.note(1, limited(5))
    cooldowns.note(2, limited(20))
    assert [each.row for each in cooldowns.free(ROWS)] == [1]
    assert cooldowns.free(ROWS[2:]) == ROWS[2:]
    clock.advance(5)
    assert [each.row for each in cooldowns.free(ROWS)] == [1]
