"""The one who calls, and until when."""

import math

from ..domain.answers import Credentials
from ..domain.values import Value
from ..tracing import NO_SPAN, CallSpan

OVERTIME_S = 0.2
"""Who works on a call notices its deadline within this time, and knows best what it waited for."""


class Caller(Value, frozen=True, kw_only=True):
    """The one who calls: until when, on the event loop's clock, and with which keys of its own.

    `span` is that of the call.
    """

    deadline: float
    credentials: Credentials
    span: CallSpan = NO_SPAN


class Deadlines(Value, frozen=True, kw_only=True):
    """The deadline of calls that bring none, and the longest one there is, in seconds."""

    default_s: float
    longest_s: float

    def end(self, now: float, asked_s: float | None) -> float:
        """Return when a call has to end that begins now and may take as long as it asks."""
        return now + min(self.default_s if asked_s is None else asked_s, self.longest_s)

    def latest(self, now: float, asked_s: float | None) -> float:
        """Return when a call has to end at the latest, whatever else it may ask for."""
        return now + min(self.longest_s if asked_s is None else asked_s, self.longest_s)


NO_DEADLINES = Deadlines(default_s=math.inf, longest_s=math.inf)
"""Those of calls that last as long as their caller wants."""
