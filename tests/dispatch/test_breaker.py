"""When a target is left alone, for how long, and what has it asked again."""

import pytest

from prompt_resolver_server.dispatch.breaker import Breaker, State, Verdict, judge
from prompt_resolver_server.domain.errors import (
    CallError,
    Reason,
    ResolverError,
    ServerError,
    UpstreamError,
)
from tests.support.clock import FakeClock

ANSWERED, FAILED, UNKNOWN = Verdict.ANSWERED, Verdict.FAILED, Verdict.UNKNOWN


class Watched:
    """A breaker, its clock, and the states that it told of."""

    def __init__(self, draw: float = 0.0) -> None:
        self.clock = FakeClock()
        self.told: list[State] = []
        self.breaker = Breaker(clock=self.clock, draw=lambda: draw, on_change=self._tell)

    def _tell(self) -> None:
        self.told.append(self.breaker.state)

    def note(self, *verdicts: Verdict) -> None:
        for each in verdicts:
            self.breaker.note(each, "upstream_timeout", self.breaker.era)

    def open(self) -> None:
        self.note(*[FAILED] * 20)

    def probe(self, verdict: Verdict) -> float:
        """Wait until a probe is let in, have it end like this, and return how long that took."""
        waited_s = self.breaker.wait_s()
        self.clock.advance(waited_s)
        assert self.breaker.enter()
        self.breaker.note_probe(verdict, "upstream_timeout")
        return waited_s


def test_twenty_failures_in_a_row() -> None:
    """The twentieth failure in a row opens it, and a single answer in between begins anew."""
    watched = Watched()

    watched.note(*[FAILED] * 19, ANSWERED, *[FAILED] * 19)
    assert (watched.breaker.state, watched.told) == (State.CLOSED, [])
    assert watched.breaker.wait_s() == 0

    watched.note(FAILED)
    assert watched.told == [State.OPEN]
    assert watched.breaker.cause == "upstream_timeout"


def test_half_of_a_hundred() -> None:
    """Half of a hundred calls open it, in whichever order they failed; fewer calls tell nothing."""
    watched = Watched()

    watched.note(*[FAILED, ANSWERED] * 49, FAILED)
    assert not watched.breaker.is_open

    watched.note(FAILED)
    assert watched.breaker.is_open


def test_fewer_than_half() -> None:
    """A provider that fails two calls of five stays in use, however many there are."""
    watched = Watched()

    watched.note(*[FAILED, ANSWERED, FAILED, ANSWERED, ANSWERED] * 200)

    assert not watched.breaker.is_open


@pytest.mark.parametrize(("pause_s", "is_open"), [(4.9, True), (9.9, True), (10.1, False)])
def test_what_is_long_ago(pause_s: float, is_open: bool) -> None:
    """What happened more than ten seconds ago does not count any more."""
    watched = Watched()
    watched.note(*[FAILED, ANSWERED] * 49)

    watched.clock.advance(pause_s)
    watched.note(ANSWERED, FAILED)

    assert watched.breaker.is_open is is_open


def test_one_probe_at_a_time() -> None:
    """Open, it lets nobody in for a second, then one, and all once that one is answered."""
    watched = Watched()
    watched.open()
    breaker = watched.breaker

    assert breaker.wait_s() == 1
    watched.clock.advance(1)
    assert breaker.wait_s() == 0
    assert breaker.enter()
    assert (breaker.state, breaker.wait_s()) == (State.HALF_OPEN, 4)

    breaker.note_probe(ANSWERED, "ok")
    assert (breaker.state, breaker.wait_s(), breaker.enter()) == (State.CLOSED, 0, False)
    assert watched.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_pauses_grow_to_four_seconds() -> None:
    """Pauses grow to four seconds as long as probes fail; once it was closed, they are short."""
    watched = Watched()
    watched.open()

    assert [watched.probe(FAILED) for _ in range(5)] == [1, 2, 4, 4, 4]
    assert watched.probe(ANSWERED) == 4

    watched.open()
    assert watched.breaker.wait_s() == 1


def test_jitter() -> None:
    """A pause is up to a quarter shorter, so that replicas do not probe together."""
    watched = Watched(draw=1.0)
    watched.open()

    assert [watched.probe(FAILED) for _ in range(4)] == [0.75, 1.5, 3, 3]


def test_probe_that_tells_nothing() -> None:
    """A probe whose caller leaves makes room for the next at once; one that hangs, in 4 s."""
    watched = Watched()
    watched.open()
    watched.probe(UNKNOWN)

    assert watched.breaker.wait_s() == 0
    assert watched.breaker.enter()
    assert watched.breaker.wait_s() == 4
    watched.clock.advance(4)
    assert watched.breaker.enter()

    watched.breaker.note_probe(ANSWERED, "ok")
    assert watched.breaker.state is State.CLOSED
    watched.breaker.note_probe(FAILED, "upstream_timeout")
    assert watched.breaker.state is State.CLOSED


def test_late_ends_tell_nothing() -> None:
    """What was asked before it opened neither closes it nor keeps it open for longer."""
    watched = Watched()
    watched.open()

    watched.clock.advance(0.5)
    watched.note(FAILED, ANSWERED)

    assert (watched.breaker.state, watched.breaker.wait_s()) == (State.OPEN, 0.5)


def test_what_is_over_tells_nothing() -> None:
    """What was asked before it opened, and fails once it has closed, does not open it again."""
    watched = Watched()
    watched.open()
    watched.probe(ANSWERED)

    for _ in range(50):
        watched.breaker.note(FAILED, "upstream_timeout", era=0)

    assert watched.breaker.state is State.CLOSED


def test_closed_begins_anew() -> None:
    """What had it opened does not have it opened again."""
    watched = Watched()
    watched.note(*[FAILED, ANSWERED] * 50)
    watched.open()
    watched.probe(ANSWERED)

    watched.note(*[FAILED] * 19)

    assert not watched.breaker.is_open


def upstream(reason: Reason, **metadata: str) -> UpstreamError:
    return UpstreamError(reason, "failed", metadata=metadata)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (upstream(Reason.UPSTREAM_UNAVAILABLE), FAILED),
        (upstream(Reason.UPSTREAM_UNAVAILABLE, http_status="503"), FAILED),
        (upstream(Reason.UPSTREAM_OVERLOADED, http_status="529"), FAILED),
        (upstream(Reason.UPSTREAM_TIMEOUT, phase="connect"), FAILED),
        (upstream(Reason.UPSTREAM_TLS), FAILED),
        (upstream(Reason.UPSTREAM_TRUNCATED, chunks="3"), ANSWERED),
        (upstream(Reason.UPSTREAM_TIMEOUT, http_status="408"), ANSWERED),
        (upstream(Reason.UPSTREAM_OVERLOADED, http_status="429"), ANSWERED),
        (upstream(Reason.UPSTREAM_RATE_LIMITED, http_status="429"), ANSWERED),
        (upstream(Reason.UPSTREAM_QUOTA), ANSWERED),
        (upstream(Reason.UPSTREAM_AUTH), ANSWERED),
        (upstream(Reason.UPSTREAM_AUTH_CALLER_KEY), ANSWERED),
        (upstream(Reason.UPSTREAM_REJECTED), ANSWERED),
        (upstream(Reason.CONTEXT_LENGTH), ANSWERED),
        (upstream(Reason.UPSTREAM_PROTOCOL), UNKNOWN),
        (CallError(Reason.PARAMETER_UNSUPPORTED, "failed"), UNKNOWN),
        (CallError(Reason.PROVIDER_KEY_MISSING, "failed"), UNKNOWN),
        (ServerError(Reason.DEADLINE, "late"), UNKNOWN),
    ],
    ids=lambda each: f"{each.reason}-{each.metadata}" if isinstance(each, ResolverError) else "",
)
def test_what_counts(error: ResolverError, verdict: Verdict) -> None:
    """What is down counts, whoever's key was used; a refusal does not, nor what was not sent."""
    assert judge(error) is verdict
