"""What the readers of all streams do alike, whatever the framing of their events."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from ...domain.answers import Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta
from ...domain.json_codec import JsonError
from ..dialect import InBandError, ProtocolError
from .coalescing import coalesce

_Event = TypeVar("_Event")
_Event_co = TypeVar("_Event_co", covariant=True)


class Framing(Protocol[_Event_co]):
    """Tells the events of one stream apart, in whatever portions its bytes arrive."""

    def feed(self, chunk: bytes) -> Iterable[_Event_co]:
        """Return the events that the bytes complete; an empty chunk is the end of the stream.

        Raises `ProtocolError` for what is not of the framing, and for an event that is too large.
        """
        ...


class EventReader(ABC, Generic[_Event]):
    """A `StreamReader` that takes the events of a framing one by one.

    A dialect says what an event tells, and what the end of the stream does. It sets `finish` once
    the answer has ended, and raises `ProtocolError`, `InBandError` or `JsonError` for what is none.
    """

    last_words: bytes

    def __init__(self, framing: Framing[_Event]) -> None:
        self._framing = framing
        self.finish: Finish | None = None
        self.failure: ProtocolError | InBandError | None = None
        self.chunks = 0
        self.characters = 0

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete although more may follow; see `StreamReader`."""
        return False

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None or self.failure is not None:
            return []
        deltas: list[Delta] = []
        try:
            self._take_all(self._framing.feed(chunk), deltas)
            if not chunk and self.finish is None:
                self._end()
        except JsonError as error:
            self._fail(ProtocolError(str(error)))
        except (ProtocolError, InBandError) as error:
            self._fail(error)
        told = coalesce(deltas)
        self._count(told)
        return told

    def _take_all(self, events: Iterable[_Event], deltas: list[Delta]) -> None:
        """Add what events tell, up to the one that ends the answer."""
        for event in events:
            self.chunks += 1
            self._take(event, deltas)
            if self.finish is not None:
                break

    @abstractmethod
    def _take(self, event: _Event, deltas: list[Delta], /) -> None:
        """Add what an event tells."""

    def _end(self) -> None:
        """Take the end of a stream that has not ended the answer."""
        return

    def _fail(self, error: ProtocolError | InBandError) -> None:
        """Take what went wrong."""
        self.failure = error

    def _count(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            match delta:
                case TextDelta() | RefusalDelta():
                    self.characters += len(delta.text)
                case ReasoningDelta():
                    self.characters += len(delta.reasoning.text)
