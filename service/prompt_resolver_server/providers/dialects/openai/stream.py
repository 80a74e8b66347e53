"""Streams in OpenAI's chat dialect."""

from collections import deque
from collections.abc import Iterable
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
from ....domain.errors import Reason
from ....domain.json_codec import JsonError, JsonReader
from ....domain.parameters import Json
from ....domain.prompts import Reasoning, Text
from ...dialect import InBandError, ProtocolError
from ...wire.event_reader import EventReader
from ...wire.failures import read_document
from ...wire.halves import HalfJoiner
from ...wire.repetition import Repetition
from ...wire.sse import ErrorEvent, SseParser
from .content import WireMessage, check_words, read_chunks, read_thoughts
from .failures import raise_error, raise_reported
from .finish import read_finish, read_reason
from .tool_calls import ToolCallReader


class _Choice(msgspec.Struct, gc=False):
    """An event of one of the answers that were asked for."""

    index: object = 0
    delta: WireMessage | None = None
    message: WireMessage | None = None
    finish_reason: object = None
    usage: object = None


class _Chunk(msgspec.Struct, gc=False):
    """An event of a stream."""

    id: str | int | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_CHUNKS = JsonReader(_Chunk)
_DONE = b"[DONE]"


class OpenAIStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with a finish reason and `[DONE]`, and not before.

    Where the provider says no `[DONE]`, the end of the stream after a finish reason will do. Where
    no deltas come, an event may have the whole answer.
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
        self._halves = HalfJoiner()
        self._repetition = Repetition("content", _read_text)
        self._in_deltas = False
        self._spoke = False
        self._refused = False
        self._is_beyond_words = False

    @property
    @override
    def is_complete(self) -> bool:
        """Whether there is a finish reason and no `[DONE]` to come; see `StreamReader`."""
        return not self._says_done and self._raw_reason is not None

    @override
    def _take_all(self, events: Iterable[bytes], deltas: list[Delta]) -> None:
        left = deque(events)
        while left and self.finish is None:
            texts = self._repetition.texts_of(left)
            if not texts:
                self.chunks += 1
                self._take(left.popleft(), deltas)
                continue
            self.chunks += len(texts)
            if text := "".join(texts):
                deltas.append(TextDelta(text))
            for _ in texts:
                left.popleft()

    @override
    def _take(self, event: bytes, deltas: list[Delta]) -> None:
        if event[:1] != b"{" and event.strip() == _DONE:
            self._finish()
            return
        if isinstance(event, ErrorEvent):
            raise_error(event)
        self._take_chunk(event, deltas)

    def _take_chunk(self, event: bytes, deltas: list[Delta]) -> None:
        """Add what a piece of the answer tells, and learn from it how the next ones may look."""
        chunk = self._read(event)
        if chunk.error:
            raise_reported(chunk.error)
        # Azure's verdict on a prompt comes before the answer, which it leaves without a name.
        if self._opened is None and (chunk.id != "" or chunk.choices):
            self._model = chunk.model or ""
            self._opened = Opened(id=str(chunk.id or ""), model=self._model)
            deltas.append(self._opened)
        if chunk.usage is not None:
            self._note_usage(chunk.usage)
        for choice in chunk.choices or ():
            if choice.index not in (0, None):
                continue
            delta = choice.delta
            if delta is None and not self._in_deltas:
                delta = choice.message
            if delta is not None:
                self._in_deltas = True
                self._take_delta(delta, deltas)
            # Most events have neither. Moonshot counts in the choice.
            if isinstance(choice.usage, dict) and chunk.usage is None:
                self._note_usage(choice.usage)
            if choice.finish_reason is not None and (
                raw_reason := read_reason(choice.finish_reason)
            ):
                self._note_reason(raw_reason)
        if self._spoke and self._raw_reason is None:
            self._repetition.learn(event)

    def _note_usage(self, usage: dict[str, Json]) -> None:
        """Keep of each count what was said last: an event may have only some of them."""
        said: dict[str, Json] = {name: count for name, count in usage.items() if count is not None}
        self._usage = said if self._usage is None else self._usage | said

    def _note_reason(self, raw_reason: str) -> None:
        # That it has stopped says less than why it had to.
        if self._raw_reason is None or raw_reason != "stop":
            self._raw_reason = raw_reason

    def _read(self, event: bytes) -> _Chunk:
        try:
            return _CHUNKS.read(event)
        except JsonError:
            if (joined := self._halves.join(event)) != event:
                return _CHUNKS.read(joined)
            # What reports a failure need not have the form of an answer.
            read_document(event, raise_reported)
            raise

    @override
    def _end(self) -> None:
        if self.is_complete:
            self._finish()

    def _finish(self) -> None:
        if self._raw_reason is None:
            # Who says that it is done, and not why, has lost the rest of the answer.
            raise InBandError(Reason.UPSTREAM_TRUNCATED)
        if self._halves.held:
            raise ProtocolError("expected the second half of a character")
        self._calls.end()
        if self._is_beyond_words:
            check_words(spoke=self._spoke or self._refused or self._calls.any)
        self.finish = read_finish(
            self._raw_reason,
            self._model,
            self._usage,
            called=self._calls.any,
            refused=self._refused,
            spoke=self._spoke,
        )

    def _take_delta(self, delta: WireMessage, deltas: list[Delta]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            deltas.append(ReasoningDelta(read_thoughts(thought)))
        if isinstance(delta.content, list):
            parts = [*read_chunks(delta.content)]
            self._spoke |= any(isinstance(part, Text) for part in parts)
            deltas += map(_tell, parts)
        elif delta.content:
            self._spoke = True
            deltas.append(TextDelta(delta.content))
        if refusal := delta.refusal:
            self._refused = True
            deltas.append(RefusalDelta(refusal))
        if delta.tool_calls or delta.function_call:
            deltas += self._calls.take(delta.calls)
        if not self._spoke:
            self._is_beyond_words |= delta.is_beyond_words


def _read_text(event: bytes) -> str | None:
    """Return the text of an event that tells nothing else, and None of others."""
    try:
        chunk = _CHUNKS.read(event)
    except JsonError:
        return None
    match chunk:
        case _Chunk(
            choices=[
                _Choice(
                    index=0 | None,
                    delta=WireMessage(content=str() as text) as delta,
                    finish_reason=None,
                    usage=None,
                )
            ],
            usage=None,
        ) if not chunk.error and delta == WireMessage(content=text):
            return text
        case _:
            return None


def _tell(part: Text | Reasoning) -> Delta:
    return TextDelta(part.text) if isinstance(part, Text) else ReasoningDelta(part)
