"""Whether a target is worth asking: what fails again and again is not, for a moment."""

import logging
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum

from ..domain.errors import Reason, ResolverError, UpstreamError
from ..runtime.backoff import backoff_s

_log = logging.getLogger(__name__)

_FAILURES_IN_A_ROW = 20
"""One that fails every other call does so once in a million; one that is down does so at once."""
_HALF_WINDOW_S = 5.0
_LEAST_CALLS = 100
_FAILURE_SHARE = 0.5
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 4.0
"""A provider that is back is asked within five seconds, as long as there are calls for it."""
_JITTER = 0.25

_FAILURES = frozenset(
    {
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.UPSTREAM_OVERLOADED,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_TLS,
    }
)


class Verdict(Enum):
    """What the end of a call tells about the one that was called."""

    ANSWERED = "answered"
    """It works, though it may have refused the call."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It was not asked, was not waited for, or spoke of something else."""


class State(IntEnum):
    """Of a breaker; the worse, the higher."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


def judge(error: ResolverError) -> Verdict:
    """Return what a failure tells about the provider.

    A refusal is an answer, that of a key or for a limit included, and so is one that was cut: it
    had begun. An answer that is not the provider's protocol may be anybody's.
    """
    if not isinstance(error, UpstreamError) or error.reason is Reason.UPSTREAM_PROTOCOL:
        return Verdict.UNKNOWN
    refused = error.metadata.get("http_status", "").startswith("4")
    return Verdict.FAILED if error.reason in _FAILURES and not refused else Verdict.ANSWERED


class Breaker:
    """The breaker of one target.

    It opens after twenty failures in a row, or once half of at least a hundred calls of the last
    five to ten seconds have failed. Open, it lets a probe in after a second, and after one, two and
    four seconds more as long as probes fail, each up to a quarter earlier, so that replicas and
    targets do not ask together. A probe that tells nothing for four seconds makes room for another.
    The first that is answered closes it.

    `clock` is monotonic, and `draw` returns numbers from 0 to 1. `on_change` is called whenever
    `state` may have changed.
    """

    __slots__ = (
        "_clock",
        "_draw",
        "_next_probe",
        "_on_change",
        "_pauses",
        "_probes",
        "_recent",
        "cause",
        "era",
        "is_open",
    )

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._on_change = on_change
        self.is_open = False
        self.cause = ""
        """The outcome of the last call that counted as a failure."""
        self.era = 0
        """How often it has closed again."""
        self._next_probe = 0.0
        self._probes = 0
        self._pauses = 0
        self._recent = _Recent(clock())

    @property
    def state(self) -> State:
        """How it stands: half-open while a probe is under way."""
        if not self.is_open:
            return State.CLOSED
        return State.HALF_OPEN if self._probes else State.OPEN

    def wait_s(self) -> float:
        """Return in how many seconds a call is let in, 0 if one is now."""
        return max(0.0, self._next_probe - self._clock()) if self.is_open else 0.0

    def enter(self) -> bool:
        """Count a call that is let in. Return whether it is a probe."""
        if not self.is_open:
            return False
        self._probes += 1
        self._next_probe = self._clock() + _LONGEST_PAUSE_S
        self._on_change()
        return True

    def note(self, verdict: Verdict, outcome: str, era: int) -> None:
        """Count what the end of a call tells that was let in in this era.

        While it is open, probes alone tell something. What was let in before it opened, and fails
        after it has closed again, tells of what is over.
        """
        if self.is_open or era != self.era or verdict is Verdict.UNKNOWN:
            return
        self._recent.add(self._clock(), verdict)
        if verdict is Verdict.FAILED:
            self.cause = outcome
            if self._recent.is_bad:
                self.is_open = True
                self._pause()
                self._on_change()

    def note_probe(self, verdict: Verdict, outcome: str) -> None:
        """Count what a probe tells: at the first sign of an answer, or at its end without one."""
        self._probes -= 1
        if not self.is_open:
            return
        match verdict:
            case Verdict.ANSWERED:
                self.is_open = False
                self.era += 1
                self._pauses = 0
                self._recent = _Recent(self._clock())
            case Verdict.FAILED:
                self.cause = outcome
                self._pause()
            case Verdict.UNKNOWN:
                self._next_probe = self._clock()
        self._on_change()

    def _pause(self) -> None:
        pause_s = backoff_s(self._pauses, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
        self._pauses += 1
        self._next_probe = self._clock() + pause_s * (1 - _JITTER * self._draw())


class BreakerGauge:
    """Tells the worst state of a provider's breakers, through all configurations that have it.

    The log is told of each that opens, and once that is closed again.
    """

    def __init__(self, provider: str, tell: Callable[[State], None]) -> None:
        self._provider = provider
        self._tell = tell
        self._breakers: Mapping[Breaker, int | None] = {}
        self._open: set[Breaker] = set()

    def adopt(self, breakers: Mapping[Breaker, int | None]) -> None:
        """Tell of these from now on, whose `on_change` calls `tell`: others count as closed.

        Each has the row whose own key or address it is of, if that is not the provider's.
        """
        closed = [each for each in self._open if each not in breakers]
        for breaker in closed:
            self._tell_closed(breaker)
        self._breakers = breakers
        if closed:
            self.tell()

    def tell(self) -> None:
        """Tell the worst state, and what has opened or closed."""
        self._tell(max((each.state for each in self._breakers), default=State.CLOSED))
        for breaker in self._breakers:
            if breaker.is_open and breaker not in self._open:
                self._open.add(breaker)
                _log.warning(
                    "a provider fails, and is left alone",
                    extra={**self._describe(breaker), "cause": breaker.cause},
                )
            elif not breaker.is_open and breaker in self._open:
                self._tell_closed(breaker)

    def _tell_closed(self, breaker: Breaker) -> None:
        self._open.discard(breaker)
        _log.info("a provider is asked again", extra=self._describe(breaker))

    def _describe(self, breaker: Breaker) -> dict[str, object]:
        row = self._breakers[breaker]
        return {"provider": self._provider} | ({"row": row} if row is not None else {})


class _Recent:
    """How the calls of the last while went: of five seconds, and of the five before those."""

    __slots__ = ("_calls", "_ends", "_failures", "_in_a_row", "_older_calls", "_older_failures")

    def __init__(self, now: float) -> None:
        self._ends = now + _HALF_WINDOW_S
        self._in_a_row = 0
        self._calls = self._failures = 0
        self._older_calls = self._older_failures = 0

    @property
    def is_bad(self) -> bool:
        """Whether too many have failed."""
        if self._in_a_row >= _FAILURES_IN_A_ROW:
            return True
        calls = self._calls + self._older_calls
        failures = self._failures + self._older_failures
        return calls >= _LEAST_CALLS and failures >= _FAILURE_SHARE * calls

    def add(self, now: float, verdict: Verdict) -> None:
        """Count a call that has ended."""
        if now >= self._ends:
            followed = now < self._ends + _HALF_WINDOW_S
            self._older_calls = self._calls if followed else 0
            self._older_failures = self._failures if followed else 0
            self._calls = self._failures = 0
            self._ends = now + _HALF_WINDOW_S
        self._calls += 1
        if verdict is Verdict.FAILED:
            self._failures += 1
            self._in_a_row += 1
        else:
            self._in_a_row = 0
