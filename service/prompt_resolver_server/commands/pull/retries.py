"""Asks a store again where a failure may pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...domain.errors import Reason, ResolverError

_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 120.0
_PASSING_STATUSES = ("408", "429")

_Result = TypeVar("_Result")


class Retries:
    """Asks up to five times, waiting longer each time, and as long as the store asks to be let be.

    `draw` returns numbers from 0 to 1, so that those who failed together do not come back together.
    """

    def __init__(
        self,
        *,
        draw: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._draw = draw
        self._sleep = sleep

    async def ask(self, question: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return the answer to a question. Raises the last failure, or the first that will stay."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return await question()
            except ResolverError as error:
                pause_s = error.retry_after_s or 0.0
                if not may_pass(error) or pause_s > _LONGEST_PAUSE_S:
                    raise
                pause_s += self._draw() * _FIRST_PAUSE_S * 2.0**attempt
            await self._sleep(pause_s)
        return await question()


def may_pass(error: ResolverError) -> bool:
    """Tell whether a store that failed like this may answer when it is asked again."""
    if error.reason is not Reason.STORE_UNAVAILABLE:
        return False
    status = error.metadata.get("http_status")
    return status is None or status in _PASSING_STATUSES or status.startswith("5")
