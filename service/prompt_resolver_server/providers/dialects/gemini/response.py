"""Whole answers in Google's Gemini dialect."""

from ....domain.answers import Answer, Delta
from ...assembler import Assembler
from ...dialect import ProtocolError
from .answer import AnswerReader
from .chunk import read_chunk


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer, assembler = AnswerReader(), Assembler()
    deltas: list[Delta] = []
    answer.take(read_chunk(body), deltas)
    if answer.finish is None:
        raise ProtocolError("expected an answer and the reason of its end")
    assembler.add(deltas)
    return assembler.finish(answer.finish)
