"""The headers of calls that must not be made twice: what comes before their first message.

gRPC sends headers with the first message. Until a client has them, it may call once more by itself,
as some are told to do where a call is cancelled that was not begun.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import grpc

from ..runtime.alarms import Alarms

_SOON_S = 0.1
_LARGE_BYTES = 16 * 1024

if TYPE_CHECKING:
    from .call import Context


async def send_headers(context: Context, headers: tuple[tuple[str, str], ...] = ()) -> None:
    """Send them now, and be done with it whoever cancels.

    If a message is cut off, as it may be while it waits to be read, gRPC takes headers that went
    with it for unsent, sends them with the status once more, and thereby fails to send it.
    """
    await _outlast(_begin(context, headers))


class LateHeaders:
    """Headers of a call with one response, sent where that does not come at once.

    Most of what a call costs that is answered within a moment is each message of it, and nobody
    gives a call up as early as that. A failure as early as that tells itself that it is not to be
    tried again, but for one that names a time.
    """

    __slots__ = ("_alarms", "_context", "_sending")

    def __init__(self, context: Context, alarms: Alarms, now: float) -> None:
        self._context = context
        self._alarms = alarms
        self._sending: asyncio.Task[None] | None = None
        alarms.set(self._send, now + _SOON_S)

    def _send(self) -> None:
        self._sending = _begin(self._context)

    async def settle(self, size: int = 0, *, names_time: bool = False) -> None:
        """Have them sent, or not at all: from here on, they go with what ends the call.

        That is a response of this size. One that is too large to be sent would end in a failure of
        gRPC's own, which would not tell. Or it is a failure that may name a time, at which gRPC in
        Java would call again for any status, be it long after the caller would rather know.
        """
        self._alarms.pop(self._send, None)
        if self._sending is None and (names_time or size > _LARGE_BYTES):
            self._send()
        if self._sending is not None:
            await _outlast(self._sending)


def gone() -> asyncio.CancelledError:
    """Return what ends the call of a caller that is gone: sending fails before gRPC cancels it."""
    return asyncio.CancelledError()


def _begin(context: Context, headers: tuple[tuple[str, str], ...] = ()) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(context.send_initial_metadata(headers))


async def _outlast(sending: asyncio.Task[None]) -> None:
    """Wait until they are sent, also where the call is cancelled, however often."""
    if not sending.done():
        # In place of `asyncio.shield`, which takes as long as all of the sending.
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sending.add_done_callback(partial(_tell, sent))
        try:
            await sent
        except asyncio.CancelledError:
            while not sending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({sending})
            if not sending.cancelled():
                # Whatever it failed at is known by now; asyncio tells of what nobody has asked for.
                sending.exception()
            raise
    try:
        sending.result()
    except grpc.aio.BaseError:
        # The caller is gone, or the server.
        raise gone() from None


def _tell(sent: asyncio.Future[None], _: asyncio.Task[None]) -> None:
    if not sent.done():
        sent.set_result(None)
