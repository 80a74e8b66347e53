"""What the events of one answer tell in Ollama's chat dialect: a whole one is one event."""

from typing import Any

import msgspec

from ....domain.answers import (
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from ....domain.json_codec import JsonReader, encode_json
from ....domain.prompts import Reasoning
from ...dialect import ProtocolError
from .failures import raise_reported
from .finish import read_finish


class _Function(msgspec.Struct):
    """Which tool to call."""

    name: str
    arguments: dict[str, Any] | None = None


class _Call(msgspec.Struct):
    """A tool call, which always comes whole. Older servers give it no id."""

    function: _Function
    id: str = ""


class _Message(msgspec.Struct):
    """What an event adds to the message."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Event(msgspec.Struct):
    """An event of a stream."""

    model: str = ""
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_EVENTS = JsonReader(_Event)


class AnswerReader:
    """Makes deltas of the events of one answer. `finish` is how it ended, once it has."""

    def __init__(self) -> None:
        self._opened = False
        self._calls = 0
        self.finish: Finish | None = None

    def take(self, document: bytes, deltas: list[Delta]) -> None:
        """Add what one event tells. Raises `JsonError`, `ProtocolError` and `InBandError`."""
        event = _EVENTS.read(document)
        if event.error:
            raise_reported(event.error)
        message = event.message
        if message is None:
            raise ProtocolError("expected a message")
        if not self._opened:
            self._opened = True
            deltas.append(Opened(id="", model=event.model))
        if thought := message.thinking:
            deltas.append(ReasoningDelta(Reasoning(text=thought)))
        if text := message.content:
            deltas.append(TextDelta(text))
        deltas += [self._call(call) for call in message.tool_calls or ()]
        if event.done:
            self.finish = self._end(event)

    def _call(self, call: _Call) -> ToolCallDelta:
        if not call.function.name:
            raise ProtocolError("expected a tool call with the tool's name")
        index = self._calls
        self._calls += 1
        return ToolCallDelta(
            index=index,
            id=call.id,
            name=call.function.name,
            arguments_json=encode_json(call.function.arguments or {}).decode(),
        )

    def _end(self, event: _Event) -> Finish:
        if not event.done_reason:
            # The server leaves it out where its model was stopped before its end.
            raise ProtocolError("expected a reason for the end")
        counts = {"prompt_eval_count": event.prompt_eval_count, "eval_count": event.eval_count}
        return read_finish(event.done_reason, event.model, counts, called=bool(self._calls))
