"""Whole answers in Bedrock's Converse dialect."""

from typing import Any

import msgspec

from ....domain.answers import Answer, Opened
from ....domain.json_codec import JsonError, JsonReader
from ...assembler import Assembler
from ...dialect import ProtocolError
from .blocks import BlockReader, ContentBlock
from .finish import Trace, check_reason, read_finish


class _Message(msgspec.Struct):
    content: list[ContentBlock]


class _Output(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str
    usage: dict[str, Any] | None = None
    trace: Trace | None = None


_ANSWERS = JsonReader(_Answer)


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError`."""
    try:
        answer = _ANSWERS.read(body)
    except JsonError:
        raise ProtocolError("expected a message and a stop reason") from None
    check_reason(answer.stop_reason)
    finish = read_finish(answer.stop_reason, answer.usage, answer.trace)
    blocks, assembler = BlockReader(), Assembler()
    assembler.add([Opened(id="", model=finish.model)])
    for index, block in enumerate(answer.output.message.content):
        assembler.add(blocks.read(index, block))
    return assembler.finish(finish)
