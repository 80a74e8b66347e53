"""Whole answers in Cohere's chat dialect."""

from collections.abc import Iterator, Mapping

from ....domain.answers import Answer, Delta, Opened, ReasoningDelta, TextDelta, ToolCallDelta
from ....domain.parameters import Json
from ....domain.prompts import Reasoning
from ...assembler import Assembler
from ...dialect import ProtocolError
from ...wire.fields import read_items, read_mapping, read_object, read_text
from .finish import read_finish


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer = read_object(body)
    message, raw_reason = read_mapping(answer, "message"), read_text(answer, "finish_reason")
    if message is None or not raw_reason:
        raise ProtocolError("expected a message and a finish reason")
    finish = read_finish(raw_reason, read_mapping(answer, "usage"))
    assembler = Assembler()
    # As if it had been streamed, so that it is the same either way.
    assembler.add([Opened(id=read_text(answer, "id"), model=finish.model), *_tell(message)])
    return assembler.finish(finish)


def _tell(message: Mapping[str, Json]) -> Iterator[Delta]:
    if plan := read_text(message, "tool_plan"):
        yield ReasoningDelta(Reasoning(text=plan))
    for block in read_items(message, "content"):
        if thought := read_text(block, "thinking"):
            yield ReasoningDelta(Reasoning(text=thought))
        if text := read_text(block, "text"):
            yield TextDelta(text)
    for index, call in enumerate(read_items(message, "tool_calls")):
        call_id, function = read_text(call, "id"), read_mapping(call, "function") or {}
        name, arguments = read_text(function, "name"), read_text(function, "arguments")
        if not call_id or not name:
            raise ProtocolError("expected a tool call with an id and the tool's name")
        yield ToolCallDelta(index=index, id=call_id, name=name, arguments_json=arguments)
