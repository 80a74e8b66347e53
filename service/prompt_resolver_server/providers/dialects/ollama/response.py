"""Whole answers in Ollama's chat dialect."""

from ....domain.answers import Answer, Delta
from ....domain.json_codec import JsonError
from ...assembler import Assembler
from ...dialect import ProtocolError
from .answer import AnswerReader


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer, assembler = AnswerReader(), Assembler()
    deltas: list[Delta] = []
    try:
        answer.take(body, deltas)
    except JsonError as error:
        raise ProtocolError(str(error)) from None
    if answer.finish is None:
        raise ProtocolError("expected an answer that is done")
    assembler.add(deltas)
    return assembler.finish(answer.finish)
