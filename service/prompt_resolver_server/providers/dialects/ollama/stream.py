"""Streams in Ollama's chat dialect."""

from typing_extensions import override

from ....domain.answers import Delta
from ...wire.event_reader import EventReader
from ...wire.ndjson import LineReader
from .answer import AnswerReader


class OllamaStreamReader(EventReader[bytes]):
    """A `StreamReader`. The answer has ended with an event that is done and tells why."""

    last_words = b'"done":true'

    def __init__(self) -> None:
        super().__init__(LineReader())
        self._answer = AnswerReader()

    @override
    def _take(self, line: bytes, deltas: list[Delta]) -> None:
        self._answer.take(line, deltas)
        self.finish = self._answer.finish
