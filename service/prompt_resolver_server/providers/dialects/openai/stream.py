"""Streams in OpenAI's chat dialect."""

from typing import Any

import msgspec
from typing_extensions import override

from ....domain.answers import (
    Delta,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from ....domain.json_codec import JsonError, JsonReader
from ....domain.parameters import Json
from ....domain.prompts import Reasoning, Text
from ...dialect import ProtocolError
from ...wire.event_reader import EventReader
from ...wire.failures import read_document
from ...wire.sse import ErrorEvent, SseParser
from .content import WireMessage, read_chunks, read_thoughts
from .failures import raise_error, raise_reported
from .finish import check_reason, read_finish
from .tool_calls import ToolCallReader


class _Choice(msgspec.Struct):
    """An event of one of the answers that were asked for."""

    index: object = 0
    delta: WireMessage | None = None
    finish_reason: object = None


class _Chunk(msgspec.Struct):
    """An event of a stream."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_CHUNKS = JsonReader(_Chunk)
_DONE = b"[DONE]"


class OpenAIStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with a finish reason and `[DONE]`, and not before.

    Where the provider says no `[DONE]`, the end of the stream after a finish reason will do.
    """

    last_words = _DONE

    def __init__(self, *, says_done: bool) -> None:
        super().__init__(SseParser())
        self._says_done = says_done
        self._opened: Opened | None = None
        self._raw_reason: str | None = None
        self._usage: dict[str, Json] | None = None
        self._model = ""
        self._calls = ToolCallReader()
        self._refused = False

    @property
    @override
    def is_complete(self) -> bool:
        """Whether there is a finish reason and no `[DONE]` to come; see `StreamReader`."""
        return not self._says_done and self._raw_reason is not None

    @override
    def _take(self, event: bytes, deltas: list[Delta]) -> None:
        if event == _DONE:
            self._finish()
            return
        if isinstance(event, ErrorEvent):
            raise_error(event)
        try:
            chunk = _CHUNKS.read(event)
        except JsonError:
            # What reports a failure need not have the form of an answer.
            read_document(event, raise_reported)
            raise
        if chunk.error:
            raise_reported(chunk.error)
        # Azure's verdict on a prompt comes before the answer, which it leaves without a name.
        if self._opened is None and (chunk.id != "" or chunk.choices):
            self._model = chunk.model or ""
            self._opened = Opened(id=chunk.id or "", model=self._model)
            deltas.append(self._opened)
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            if choice.index not in (0, None):
                continue
            if (delta := choice.delta) is not None:
                self._take_delta(delta, deltas)
            raw_reason = choice.finish_reason
            if isinstance(raw_reason, str):
                check_reason(raw_reason)
                self._raw_reason = raw_reason

    @override
    def _end(self) -> None:
        if self.is_complete:
            self._finish()

    def _finish(self) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a finish reason before the end")
        self._calls.end()
        self.finish = read_finish(
            self._raw_reason,
            self._model,
            self._usage,
            called=self._calls.any,
            refused=self._refused,
        )

    def _take_delta(self, delta: WireMessage, deltas: list[Delta]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            deltas.append(ReasoningDelta(read_thoughts(thought)))
        if isinstance(delta.content, list):
            deltas += map(_tell, read_chunks(delta.content))
        elif delta.content:
            deltas.append(TextDelta(delta.content))
        if refusal := delta.refusal:
            self._refused = True
            deltas.append(RefusalDelta(refusal))
        if pieces := delta.tool_calls:
            deltas += [told for piece in pieces if (told := self._calls.take(piece))]


def _tell(part: Text | Reasoning) -> Delta:
    return TextDelta(part.text) if isinstance(part, Text) else ReasoningDelta(part)
