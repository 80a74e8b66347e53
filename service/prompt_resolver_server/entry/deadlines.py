"""Until when calls may run, and what ends those whose callers keep them waiting."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..domain.errors import Reason, ServerError
from ..domain.values import Value

OVERTIME_S = 0.2
"""Who works on a call notices its deadline within this time, and knows best what it waited for."""


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


@asynccontextmanager
async def ending_at(deadline: float, awaited: str = "read") -> AsyncIterator[asyncio.Timeout]:
    """End a call with DEADLINE whose caller does not do what is awaited, if nobody else ends it.

    Yields what does so, `OVERTIME_S` after the deadline, and may be rescheduled.
    """
    until = deadline + OVERTIME_S if deadline < math.inf else None
    try:
        async with asyncio.timeout_at(until) as limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise
        raise ServerError(
            Reason.DEADLINE,
            f"the deadline passed while the caller did not {awaited}",
            metadata={"phase": "send", "attempts": "1"},
        ) from None
