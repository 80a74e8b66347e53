"""Whole answers in Cohere's chat dialect."""

from collections.abc import Mapping

from ....answers import Answer
from ....parameters import Json
from ....prompts import Message, Part, Reasoning, Text, ToolCall
from ...dialect import ProtocolError
from ...wire.fields import read_items, read_mapping, read_object, read_text
from .wire import read_finish


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer = read_object(body)
    message, raw_reason = read_mapping(answer, "message"), read_text(answer, "finish_reason")
    if message is None or not raw_reason:
        raise ProtocolError("expected a message and a finish reason")
    return Answer(
        id=read_text(answer, "id"),
        message=Message(
            role="assistant",
            content=tuple(_parts(message)),
            tool_calls=tuple(_tool_call(call) for call in read_items(message, "tool_calls")),
        ),
        finish=read_finish(raw_reason, read_mapping(answer, "usage")),
    )


def _parts(message: Mapping[str, Json]) -> list[Part]:
    parts: list[Part] = []
    if plan := read_text(message, "tool_plan"):
        parts.append(Reasoning(text=plan))
    for block in read_items(message, "content"):
        if thought := read_text(block, "thinking"):
            parts.append(Reasoning(text=thought))
        if text := read_text(block, "text"):
            parts.append(Text(text))
    return parts


def _tool_call(call: Mapping[str, Json]) -> ToolCall:
    function = read_mapping(call, "function") or {}
    if not read_text(call, "id") or not read_text(function, "name"):
        raise ProtocolError("expected a tool call with an id and the tool's name")
    return ToolCall(
        id=read_text(call, "id"),
        name=read_text(function, "name"),
        arguments_json=read_text(function, "arguments"),
    )
