"""Whole answers in Anthropic's Messages dialect."""

from ....domain.answers import Answer, Opened
from ...assembler import Assembler
from ...dialect import ProtocolError
from ...wire.failures import read_document
from ...wire.fields import read_items, read_mapping, read_text
from .blocks import BlockReader
from .failures import raise_reported
from .finish import read_finish


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer = read_document(body, raise_reported)
    raw_reason = answer.get("stop_reason")
    if not isinstance(answer.get("content"), list) or not isinstance(raw_reason, str):
        raise ProtocolError("expected content and a stop reason")
    model = read_text(answer, "model")
    blocks, assembler = BlockReader(), Assembler()
    assembler.add([Opened(id=read_text(answer, "id"), model=model)])
    # As if it had been streamed, so that it is the same either way.
    for index, block in enumerate(read_items(answer, "content")):
        told = blocks.begin(index, block), blocks.end(index)
        assembler.add([delta for delta in told if delta is not None])
    return assembler.finish(read_finish(raw_reason, model, read_mapping(answer, "usage")))
