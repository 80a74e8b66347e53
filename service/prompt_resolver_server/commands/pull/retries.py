"""Asks a store again where a failure may pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...domain.errors import Reason, ResolverError
from ...runtime.backoff import backoff_s

_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 120.0
# Whoever waits for longer than this wants to know for what.
_TOLD_PAUSE_S = 2.0
_PASSING_STATUSES = ("408", "429")

_Result = TypeVar("_Result")


class Retries:
    """Asks up to five times, waiting longer each time, and as long as the store asks to be let be.

    `draw` returns numbers from 0 to 1, so that those who failed together do not come back together.
    `tell` is given a line on a pause of some seconds, and none on others meanwhile.
    """

    def __init__(
        self,
        *,
        draw: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._draw = draw
        self._sleep = sleep
        self._tell = tell
        self._has_told = False

    async def ask(self, question: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return the answer to a question. Raises the last failure, or the first that will stay."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return await question()
            except ResolverError as error:
                pause_s = error.retry_after_s or 0.0
                if not may_pass(error) or pause_s > _LONGEST_PAUSE_S:
                    raise
                pause_s += self._draw() * backoff_s(
                    attempt, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S
                )
            await self._wait(pause_s)
        return await question()

    async def _wait(self, pause_s: float) -> None:
        if pause_s < _TOLD_PAUSE_S or self._has_told:
            await self._sleep(pause_s)
            return
        self._tell(f"the store fails; it is asked again in {pause_s:.0f} s")
        self._has_told = True
        try:
            await self._sleep(pause_s)
        finally:
            self._has_told = False


def may_pass(error: ResolverError) -> bool:
    """Tell whether a store that failed like this may answer when it is asked again."""
    if error.reason is not Reason.STORE_UNAVAILABLE:
        return False
    status = error.metadata.get("http_status")
    return status is None or status in _PASSING_STATUSES or status.startswith("5")
