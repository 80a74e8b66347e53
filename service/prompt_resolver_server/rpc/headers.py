"""What comes before the first message of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from .leaving import noticing_leavers

if TYPE_CHECKING:
    # Generic in the stubs alone.
    Context = grpc.aio.ServicerContext[bytes, bytes]


class Headers:
    """What comes before the first message of a call, on its way while the call is worked on.

    They would go with the message. But until they have come, gRPC's clients may call once more, as
    some are told to do where a call is cancelled that was not begun: so they leave before work is
    done that must not be done twice. And if a message is cut off, as it may be while it waits to be
    read, gRPC takes them for unsent, sends them with the status once more, and thereby fails to
    send it: so nothing follows before they have left, whoever cancels.
    """

    def __init__(self, context: Context, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._sending = asyncio.ensure_future(context.send_initial_metadata(headers))

    async def sent(self) -> None:
        """Wait until they have left. A caller that is gone cancels the call."""
        try:
            await self.settle()
        except asyncio.CancelledError:
            await self.settle()
            raise
        with noticing_leavers():
            self._sending.result()

    async def settle(self) -> None:
        """Wait until they have left, or cannot, which is nobody's fault."""
        sending = self._sending
        if not sending.done():
            await asyncio.wait((sending,))
        if not sending.cancelled():
            sending.exception()
