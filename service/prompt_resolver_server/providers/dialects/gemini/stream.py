"""Streams in Google's Gemini dialect."""

from ....answers import Delta, Finish, ReasoningDelta, TextDelta
from ...dialect import InBandError, ProtocolError
from ...wire.coalescing import coalesce
from ...wire.sse import ErrorEvent, SseError, SseParser
from .answer import AnswerReader
from .chunk import raise_failure, read_chunk


class GeminiStreamReader:
    """A `StreamReader`. The answer has ended with a finish reason and the end of the stream.

    Neither is enough alone. Every chunk may have a finish reason, with text or the usage in another
    one after it, so that only the stream's end tells which was the last; and a stream that ends
    without any was cut.
    """

    last_words = b'"finishReason"'
    is_complete = False

    def __init__(self) -> None:
        self._events = SseParser()
        self._answer = AnswerReader()
        self.finish: Finish | None = None
        self.failure: ProtocolError | InBandError | None = None
        self.chunks = 0
        self.characters = 0

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None or self.failure is not None:
            return []
        deltas: list[Delta] = []
        try:
            for document in self._events.feed(chunk):
                event = read_chunk(document)
                if isinstance(document, ErrorEvent):
                    raise ProtocolError("an error that is not known in place of an answer")
                self.chunks += 1
                self._answer.take(event, deltas)
            if not chunk:
                self._end()
        except SseError as error:
            self.failure = ProtocolError(str(error))
        except (ProtocolError, InBandError) as error:
            self.failure = error
        self._count(deltas)
        return coalesce(deltas)

    def _end(self) -> None:
        # A failure on the way comes as plain JSON between the events, over several lines.
        raise_failure(b"\n".join(self._events.strays))
        self.finish = self._answer.finish

    def _count(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            match delta:
                case TextDelta():
                    self.characters += len(delta.text)
                case ReasoningDelta():
                    self.characters += len(delta.reasoning.text)
