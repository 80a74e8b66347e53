"""How many calls a provider may have at once. More wait for a moment, in their order."""

import asyncio
from collections import deque
from contextlib import suppress


class Slots:
    """A provider's slots, each of which is one call's from its beginning to its end."""

    def __init__(self, *, count: int, max_wait_s: float) -> None:
        self.count = count
        self.max_wait_s = max_wait_s
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, deadline: float) -> None:
        """Take a slot, once it is this call's turn. Raises TimeoutError if that takes too long.

        `deadline` is on the event loop's clock. Who is cancelled has taken none.
        """
        if self._taken < self.count and not self._waiting:
            self._taken += 1
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self.max_wait_s)):
                await turn
        except BaseException:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                # It was handed over while its taker was leaving.
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a slot back, to the one who has waited longest."""
        self._taken -= 1
        self._hand_over()

    def resize(self, *, count: int, max_wait_s: float) -> None:
        """Have another count, and another wait for those who come from now on.

        Whoever has a slot keeps it: of fewer there may be too many taken until some are given back.
        """
        self.count = count
        self.max_wait_s = max_wait_s
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._taken < self.count:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
