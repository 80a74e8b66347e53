"""Streams in Cohere's chat dialect."""

from typing import Any

import msgspec
from typing_extensions import override

from ....domain.answers import Delta, Finish, Opened, ReasoningDelta, TextDelta, ToolCallDelta
from ....domain.json_codec import JsonError, JsonReader
from ....domain.prompts import Reasoning
from ...dialect import ProtocolError
from ...wire.event_reader import EventReader
from ...wire.fields import read_object, read_text
from ...wire.sse import ErrorEvent, SseParser
from .failures import raise_reported
from .finish import read_finish


class _Function(msgspec.Struct):
    """Which tool to call, or more of the arguments."""

    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    """A tool call, or more of it."""

    id: str | None = None
    function: _Function | None = None


class _Content(msgspec.Struct):
    """A piece of content."""

    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct):
    """What an event adds to the message. As it begins, it has empty lists."""

    content: _Content | list[Any] | None = None
    tool_plan: str | None = None
    tool_calls: _Call | list[Any] | None = None


class _Delta(msgspec.Struct):
    """What an event adds to the message, or how the answer ended."""

    message: _Message | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Event(msgspec.Struct):
    """An event of a stream."""

    type: str
    id: str | None = None
    index: int = 0
    delta: _Delta | None = None


_EVENTS = JsonReader(_Event)
_KINDS = frozenset(
    {
        *("message-start", "content-start", "content-delta", "tool-plan-delta"),
        *("tool-call-start", "tool-call-delta", "message-end"),
    }
)


class CohereStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with `message-end` and a finish reason."""

    last_words = b"message-end"

    def __init__(self) -> None:
        super().__init__(SseParser())
        self._opened = False
        self._calls: dict[int, int] = {}

    @override
    def _take(self, document: bytes, deltas: list[Delta]) -> None:
        if (event := _read(document)) is not None:
            self._take_event(event, deltas)

    def _take_event(self, event: _Event, deltas: list[Delta]) -> None:
        delta = event.delta or _Delta()
        message = delta.message or _Message()
        # A failure may come before anything else.
        finish = _read_end(delta) if event.type == "message-end" else None
        if event.type == "message-start":
            self._begin(event, deltas)
        elif not self._opened:
            raise ProtocolError("expected the message to begin first")
        elif finish is not None:
            self.finish = finish
        elif isinstance(message.tool_calls, _Call):
            deltas.append(self._call(event, message.tool_calls))
        else:
            content = message.content if isinstance(message.content, _Content) else _Content()
            if thought := message.tool_plan or content.thinking:
                deltas.append(ReasoningDelta(Reasoning(text=thought)))
            if text := content.text:
                deltas.append(TextDelta(text))

    def _begin(self, event: _Event, deltas: list[Delta]) -> None:
        if self._opened:
            raise ProtocolError("expected one message")
        self._opened = True
        deltas.append(Opened(id=event.id or "", model=""))

    def _call(self, event: _Event, call: _Call) -> ToolCallDelta:
        function = call.function or _Function()
        if event.type == "tool-call-start":
            if not call.id or not function.name or event.index in self._calls:
                raise ProtocolError("expected a tool call to begin once, with an id and a name")
            number = self._calls[event.index] = len(self._calls)
            return ToolCallDelta(
                index=number,
                id=call.id,
                name=function.name,
                arguments_json=function.arguments or "",
            )
        if event.index not in self._calls:
            raise ProtocolError("expected a tool call to begin first")
        number = self._calls[event.index]
        return ToolCallDelta(index=number, arguments_json=function.arguments or "")


def _read_end(delta: _Delta) -> Finish:
    if delta.error:
        raise_reported(delta.error)
    if not delta.finish_reason:
        raise ProtocolError("expected a finish reason at the end")
    return read_finish(delta.finish_reason, delta.usage)


def _read(document: bytes) -> _Event | None:
    """Return an event, or None for one of a kind that tells nothing. Raises what it reports."""
    if isinstance(document, ErrorEvent):
        raise_reported(read_object(document).get("message"))
    try:
        event = _EVENTS.read(document)
    except JsonError:
        # What is of another kind need not have the form of the others.
        if read_text(read_object(document), "type") in _KINDS:
            raise
        return None
    return event if event.type in _KINDS else None
