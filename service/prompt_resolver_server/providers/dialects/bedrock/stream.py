"""Streams in Bedrock's Converse dialect."""

from typing import Any

import msgspec

from ....answers import Delta, Finish, Opened, ReasoningDelta, TextDelta
from ....json_codec import JsonError, JsonReader
from ...dialect import InBandError, ProtocolError
from ...wire.coalescing import coalesce
from ...wire.event_stream import EventMessage, EventStreamParser
from .blocks import BlockDelta, BlockReader, BlockStart
from .wire import Trace, check_reason, raise_exception, read_finish


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


class BedrockStreamReader:
    """A `StreamReader`. The answer is complete with `messageStop`.

    Its usage follows in `metadata`, which is waited for. Whatever comes in its place, the end of
    the stream or a failure, ends the answer, too: it has arrived.
    """

    last_words = b"metadata"

    def __init__(self) -> None:
        self._messages = EventStreamParser()
        self._blocks = BlockReader()
        self._opened = False
        self._raw_reason: str | None = None
        self.finish: Finish | None = None
        self.failure: ProtocolError | InBandError | None = None
        self.chunks = 0
        self.characters = 0

    @property
    def is_complete(self) -> bool:
        """Whether the answer has stopped; see `StreamReader.is_complete`."""
        return self._raw_reason is not None

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None or self.failure is not None:
            return []
        deltas: list[Delta] = []
        try:
            for message in self._messages.feed(chunk):
                self.chunks += 1
                self._take(message, deltas)
                if self.finish is not None:
                    break
        except JsonError:
            self._fail(ProtocolError("expected an event of a known form"))
        except (ProtocolError, InBandError) as error:
            self._fail(error)
        if not chunk and self._raw_reason is not None and self.finish is None:
            self.finish = read_finish(self._raw_reason, None, None)
        self._count(deltas)
        return coalesce(deltas)

    def _count(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            match delta:
                case TextDelta():
                    self.characters += len(delta.text)
                case ReasoningDelta():
                    self.characters += len(delta.reasoning.text)

    def _fail(self, error: ProtocolError | InBandError) -> None:
        if self._raw_reason is None:
            self.failure = error
        else:
            self.finish = read_finish(self._raw_reason, None, None)

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
                self._end(event)
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

    def _end(self, event: _Event) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a stop reason before the usage")
        self.finish = read_finish(self._raw_reason, event.usage, event.trace)


def _append(deltas: list[Delta], delta: Delta | None) -> None:
    if delta is not None:
        deltas.append(delta)
