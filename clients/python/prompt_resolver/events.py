"""The events of a streamed answer, where they come from."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, TypeAlias

import grpc

from .errors import PromptResolverError
from .v1 import prompt_resolver_pb2 as pb

Event: TypeAlias = pb.CompleteStreamResponse


class Events:
    """The events of one answer. They are read and closed in the thread of the calls alone."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._events = events
        self._reading = asyncio.Lock()
        self._reader: asyncio.Task[Any] | None = None
        self._is_closed = False

    async def next(self) -> Event | None:
        """Return the next event; None at the end. Raises `PromptResolverError` once closed."""
        # One that is cancelled takes a moment to end.
        async with self._reading:
            if self._is_closed:
                raise _was_closed()
            self._reader = asyncio.current_task()
            try:
                return await anext(self._events, None)
            except asyncio.CancelledError:
                if not self._is_closed:
                    raise
                raise _was_closed() from None
            finally:
                self._reader = None

    async def close(self) -> None:
        """End the call, if it has not ended."""
        self._is_closed = True
        if self._reader is not None:
            # What is cancelled while it is read closes itself.
            self._reader.cancel()
            return
        # Two may close it at once.
        with suppress(RuntimeError):
            await self._events.aclose()


def _was_closed() -> PromptResolverError:
    return PromptResolverError(grpc.StatusCode.CANCELLED, "the stream was closed")
