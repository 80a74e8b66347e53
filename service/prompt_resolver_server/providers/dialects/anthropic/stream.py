"""Streams in Anthropic's Messages dialect."""

from collections.abc import Mapping
from typing import Any

import msgspec
from typing_extensions import override

from ....domain.answers import Delta, Opened
from ....domain.json_codec import JsonError, JsonReader
from ....domain.parameters import Json
from ...dialect import ProtocolError
from ...wire.event_reader import EventReader
from ...wire.failures import raise_in_band, read_document
from ...wire.fields import read_text
from ...wire.sse import ErrorEvent, SseParser
from .blocks import BlockDelta, BlockReader
from .failures import raise_reported
from .finish import read_finish


class _Message(msgspec.Struct):
    """The answer, as it begins."""

    id: str = ""
    model: str = ""
    usage: dict[str, Any] | None = None


class _Delta(BlockDelta):
    """What an event adds to a block, or to the message."""

    stop_reason: str | None = None


class _Event(msgspec.Struct):
    """An event of a stream."""

    type: str
    index: int = 0
    message: _Message | None = None
    content_block: dict[str, Any] | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_EVENTS = JsonReader(_Event)
_KINDS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)


class AnthropicStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with a stop reason and `message_stop`."""

    last_words = b"message_stop"

    def __init__(self) -> None:
        super().__init__(SseParser())
        self._opened: Opened | None = None
        self._raw_reason: str | None = None
        self._usage: dict[str, Json] = {}
        self._blocks = BlockReader()

    @override
    def _take(self, document: bytes, deltas: list[Delta]) -> None:
        event = _read(document)
        if event is not None and (delta := self._tell(event)) is not None:
            deltas.append(delta)

    def _tell(self, event: _Event) -> Delta | None:
        match event:
            case _Event(type="message_start", message=_Message() as message):
                return self._begin(message)
            case _ if self._opened is None:
                raise ProtocolError("expected the message to begin first")
            case _Event(type="content_block_start", content_block=dict() as block):
                return self._blocks.begin(event.index, block)
            case _Event(type="content_block_delta", delta=_Delta() as delta):
                return self._blocks.add(event.index, delta)
            case _Event(type="content_block_stop"):
                return self._blocks.end(event.index)
            case _Event(type="message_delta", delta=_Delta() as delta):
                self._raw_reason = delta.stop_reason or self._raw_reason
                self._note_usage(event.usage)
                return None
            case _Event(type="message_stop"):
                self._finish(self._opened.model)
                return None
            case _:
                raise ProtocolError("expected an event with something in it")

    def _begin(self, message: _Message) -> Opened:
        if self._opened is not None:
            raise ProtocolError("expected one message")
        self._note_usage(message.usage)
        self._opened = Opened(id=message.id, model=message.model)
        return self._opened

    def _note_usage(self, usage: Mapping[str, Json] | None) -> None:
        """Take the newest counts. Later ones need not repeat the earlier."""
        self._usage |= {name: count for name, count in (usage or {}).items() if count is not None}

    def _finish(self, model: str) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a stop reason before the end")
        self._blocks.check_ended()
        self.finish = read_finish(self._raw_reason, model, self._usage)


def _read(document: bytes) -> _Event | None:
    """Return an event, or None for one of a kind that is not known. Raises what it reports."""
    if isinstance(document, ErrorEvent):
        read_document(document, raise_reported)
        raise_in_band(None)
    try:
        event = _EVENTS.read(document)
    except JsonError:
        # What reports a failure, or is of another kind, need not have the form of the others.
        if read_text(read_document(document, raise_reported), "type") in _KINDS:
            raise
        return None
    if event.error or event.type == "error":
        raise_reported(event.error)
    return event if event.type in _KINDS else None
