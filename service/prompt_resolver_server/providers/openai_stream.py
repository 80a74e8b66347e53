"""Streams in OpenAI's chat dialect."""

from collections.abc import Mapping

from ..answers import (
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
)
from ..parameters import Json
from ..prompts import Reasoning
from .dialect import ProtocolError
from .openai_tool_calls import ToolCallReader
from .openai_wire import (
    MAX_WORD,
    raise_error,
    read_document,
    read_reasoning,
    read_usage,
    to_finish_reason,
)
from .sse import ErrorEvent, SseError, SseParser
from .wire import read_items, read_mapping, read_text


class OpenAIStreamReader:
    """A `StreamReader`. The answer has ended with a finish reason and `[DONE]`, and not before."""

    def __init__(self) -> None:
        self._events = SseParser()
        self._opened: Opened | None = None
        self._raw_reason: str | None = None
        self._usage: Usage | None = None
        self._model = ""
        self._calls = ToolCallReader()
        self._refused = False
        self.finish: Finish | None = None
        self.chunks = 0
        self.characters = 0

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None:
            return []
        try:
            events = self._events.feed(chunk)
        except SseError as error:
            raise ProtocolError(str(error)) from None
        deltas: list[Delta] = []
        for event in events:
            if event == b"[DONE]":
                self._end()
                break
            if isinstance(event, ErrorEvent):
                raise_error(event)
            self.chunks += 1
            self._take(read_document(event), deltas)
        return _coalesce(deltas)

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

    def _take(self, event: Mapping[str, Json], deltas: list[Delta]) -> None:
        if self._opened is None:
            self._model = read_text(event, "model")
            self._opened = Opened(id=read_text(event, "id"), model=self._model)
            deltas.append(self._opened)
        if (usage := read_mapping(event, "usage")) is not None:
            self._usage = read_usage(usage)
        for choice in read_items(event, "choices"):
            if choice.get("index", 0) != 0:
                continue
            self._take_delta(read_mapping(choice, "delta") or {}, deltas)
            raw_reason = choice.get("finish_reason")
            if isinstance(raw_reason, str):
                self._raw_reason = raw_reason
                if raw_reason == "error":
                    raise ProtocolError("the answer ended in an error")

    def _take_delta(self, delta: Mapping[str, Json], deltas: list[Delta]) -> None:
        if text := read_text(delta, "content"):
            self.characters += len(text)
            if len(delta) == 1:
                # Most of a stream is text, and nothing but text.
                deltas.append(TextDelta(text))
                return
        if thought := read_reasoning(delta):
            self.characters += len(thought)
            deltas.append(ReasoningDelta(Reasoning(text=thought)))
        if text:
            deltas.append(TextDelta(text))
        if refusal := read_text(delta, "refusal"):
            self._refused = True
            deltas.append(RefusalDelta(refusal))
        pieces = read_items(delta, "tool_calls")
        deltas += [told for piece in pieces if (told := self._calls.take(piece))]


def _coalesce(deltas: list[Delta]) -> list[Delta]:
    """Join texts that follow each other: what arrived together travels together."""
    joined: list[Delta] = []
    texts: list[str] = []
    for delta in deltas:
        if isinstance(delta, TextDelta):
            texts.append(delta.text)
            continue
        if texts:
            joined.append(TextDelta("".join(texts)))
            texts = []
        joined.append(delta)
    if texts:
        joined.append(TextDelta("".join(texts)))
    return joined
