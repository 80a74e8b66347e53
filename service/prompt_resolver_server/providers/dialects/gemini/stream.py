"""Streams in Google's Gemini dialect."""

from typing_extensions import override

from ....domain.answers import Delta
from ...wire.event_reader import EventReader
from ...wire.failures import raise_in_band
from ...wire.sse import ErrorEvent, SseParser
from .answer import AnswerReader
from .chunk import read_chunk
from .failures import raise_failure


class GeminiStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with a finish reason and the end of the stream.

    Neither is enough alone. Every chunk may have a finish reason, with text or the usage in another
    one after it, so that only the stream's end tells which was the last; and a stream that ends
    without any was cut.
    """

    last_words = b'"finishReason"'

    def __init__(self) -> None:
        self._events = SseParser()
        super().__init__(self._events)
        self._answer = AnswerReader()

    @override
    def _take(self, document: bytes, deltas: list[Delta]) -> None:
        chunk = read_chunk(document)
        if isinstance(document, ErrorEvent):
            raise_in_band(None)
        self._answer.take(chunk, deltas)

    @override
    def _end(self) -> None:
        # A failure on the way comes as plain JSON between the events, over several lines.
        raise_failure(b"\n".join(self._events.strays))
        self.finish = self._answer.finish
