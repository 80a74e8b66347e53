"""Streams in OpenAI's chat dialect."""

from typing import Any

import msgspec

from ....answers import (
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
)
from ....json_codec import JsonError, JsonReader
from ....prompts import Reasoning, Text
from ...dialect import InBandError, ProtocolError
from ...wire.coalescing import coalesce
from ...wire.sse import ErrorEvent, SseError, SseParser
from .tool_calls import ToolCallReader
from .wire import (
    MAX_WORD,
    raise_error,
    raise_reported,
    read_content,
    read_document,
    read_usage,
    to_finish_reason,
)


class _Delta(msgspec.Struct):
    """What an event adds to the message. Two of the names are for the same thing."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    """An event of one of the answers that were asked for."""

    index: object = 0
    delta: _Delta | None = None
    finish_reason: object = None


class _Event(msgspec.Struct):
    """An event of a stream."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_EVENTS = JsonReader(_Event)
_DONE = b"[DONE]"


class OpenAIStreamReader:
    """A `StreamReader`. The answer has ended with a finish reason and `[DONE]`, and not before.

    Where the provider says no `[DONE]`, the end of the stream after a finish reason will do.
    """

    last_words = _DONE

    def __init__(self, *, says_done: bool = True) -> None:
        self._says_done = says_done
        self._events = SseParser()
        self._opened: Opened | None = None
        self._raw_reason: str | None = None
        self._usage: Usage | None = None
        self._model = ""
        self._calls = ToolCallReader()
        self._refused = False
        self.finish: Finish | None = None
        self.failure: ProtocolError | InBandError | None = None
        self.chunks = 0
        self.characters = 0

    @property
    def is_complete(self) -> bool:
        """Whether there is a finish reason and no `[DONE]` to come; see `StreamReader`."""
        return not self._says_done and self._raw_reason is not None

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None or self.failure is not None:
            return []
        deltas: list[Delta] = []
        try:
            for event in self._events.feed(chunk):
                if event == _DONE:
                    self._end()
                    break
                if isinstance(event, ErrorEvent):
                    raise_error(event)
                self.chunks += 1
                self._take(_read(event), deltas)
            if not chunk and self.finish is None and self.is_complete:
                self._end()
        except (SseError, JsonError) as error:
            self.failure = ProtocolError(str(error))
        except (ProtocolError, InBandError) as error:
            self.failure = error
        return coalesce(deltas)

    def _end(self) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a finish reason before the end")
        self._calls.end()
        self.finish = Finish(
            reason=to_finish_reason(
                self._raw_reason, called=self._calls.any, refused=self._refused
            ),
            raw_reason=self._raw_reason[:MAX_WORD],
            model=self._model,
            usage=self._usage,
        )

    def _take(self, event: _Event, deltas: list[Delta]) -> None:
        if event.error:
            raise_reported(event.error)
        # Azure's verdict on a prompt comes before the answer, which it leaves without a name.
        if self._opened is None and (event.id != "" or event.choices):
            self._model = event.model or ""
            self._opened = Opened(id=event.id or "", model=self._model)
            deltas.append(self._opened)
        if event.usage is not None:
            self._usage = read_usage(event.usage)
        for choice in event.choices or ():
            if choice.index not in (0, None):
                continue
            if choice.delta is not None:
                self._take_delta(choice.delta, deltas)
            raw_reason = choice.finish_reason
            if isinstance(raw_reason, str):
                self._raw_reason = raw_reason
                if raw_reason == "error":
                    raise ProtocolError("the answer ended in an error")

    def _take_delta(self, delta: _Delta, deltas: list[Delta]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            self._take_thought(thought, deltas)
        if isinstance(delta.content, list):
            for part in read_content(delta.content):
                take = self._take_text if isinstance(part, Text) else self._take_thought
                take(part.text, deltas)
        elif delta.content:
            self._take_text(delta.content, deltas)
        if refusal := delta.refusal:
            self._refused = True
            deltas.append(RefusalDelta(refusal))
        pieces = delta.tool_calls or ()
        deltas += [told for piece in pieces if (told := self._calls.take(piece))]

    def _take_text(self, text: str, deltas: list[Delta]) -> None:
        self.characters += len(text)
        deltas.append(TextDelta(text))

    def _take_thought(self, text: str, deltas: list[Delta]) -> None:
        self.characters += len(text)
        deltas.append(ReasoningDelta(Reasoning(text=text)))


def _read(document: bytes) -> _Event:
    try:
        return _EVENTS.read(document)
    except JsonError:
        # What reports a failure need not have the form of an answer.
        read_document(document)
        raise
