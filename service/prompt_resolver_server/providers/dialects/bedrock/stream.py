"""Streams in Bedrock's Converse dialect."""

from typing import Any

import msgspec
from typing_extensions import override

from ....domain.answers import Delta, Opened
from ....domain.json_codec import JsonReader
from ...dialect import InBandError, ProtocolError
from ...wire.event_reader import EventReader
from ...wire.event_stream import EventMessage, EventStreamParser
from .blocks import BlockDelta, BlockReader, BlockStart
from .failures import raise_exception
from .finish import Trace, check_reason, read_finish


class _Event(msgspec.Struct, rename="camel"):
    """An event of a stream."""

    content_block_index: int = 0
    start: BlockStart | None = None
    delta: BlockDelta | None = None
    stop_reason: str = ""
    usage: dict[str, Any] | None = None
    trace: Trace | None = None


_EVENTS = JsonReader(_Event)
_KINDS = frozenset(
    {
        *("messageStart", "messageStop", "metadata"),
        *("contentBlockStart", "contentBlockDelta", "contentBlockStop"),
    }
)


class BedrockStreamReader(EventReader[EventMessage]):
    """A `StreamReader`. The answer is complete with `messageStop`.

    Its usage follows in `metadata`, which is waited for. Whatever comes in its place, the end of
    the stream or a failure, ends the answer, too: it has arrived.
    """

    last_words = b"metadata"

    def __init__(self) -> None:
        super().__init__(EventStreamParser())
        self._blocks = BlockReader()
        self._opened = False
        self._raw_reason: str | None = None

    @property
    @override
    def is_complete(self) -> bool:
        """Whether the answer has stopped; see `StreamReader.is_complete`."""
        return self._raw_reason is not None

    @override
    def _end(self) -> None:
        if self._raw_reason is not None:
            self.finish = read_finish(self._raw_reason, None, None)

    @override
    def _fail(self, error: ProtocolError | InBandError) -> None:
        if self.is_complete:
            self._end()
        else:
            super()._fail(error)

    @override
    def _take(self, message: EventMessage, deltas: list[Delta]) -> None:
        if message.failed:
            raise_exception(message.name, message.payload)
        if message.name not in _KINDS:
            return
        if (message.name == "messageStart") is self._opened:
            raise ProtocolError("expected one message, which begins first")
        event = _EVENTS.read(message.payload)
        index = event.content_block_index
        match message.name, event:
            case "messageStart", _:
                self._opened = True
                deltas.append(Opened(id="", model=""))
            case "metadata", _:
                self._finish(event)
            case _ if self._raw_reason is not None:
                raise ProtocolError("expected nothing but the usage after the end")
            case "contentBlockStart", _Event(start=BlockStart() as start):
                _append(deltas, self._blocks.begin(index, start))
            case "contentBlockDelta", _Event(delta=BlockDelta() as delta):
                _append(deltas, self._blocks.add(index, delta))
            case "contentBlockStop", _:
                deltas += self._blocks.end(index)
            case "messageStop", _Event(stop_reason=reason) if reason:
                check_reason(reason)
                deltas += self._blocks.end_all()
                self._raw_reason = reason
            case _:
                raise ProtocolError("expected an event with something in it")

    def _finish(self, event: _Event) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a stop reason before the usage")
        self.finish = read_finish(self._raw_reason, event.usage, event.trace)


def _append(deltas: list[Delta], delta: Delta | None) -> None:
    if delta is not None:
        deltas.append(delta)
