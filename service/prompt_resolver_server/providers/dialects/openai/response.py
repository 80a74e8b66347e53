"""Whole answers in OpenAI's chat dialect."""

from collections.abc import Mapping

from ....domain.answers import Answer
from ....domain.parameters import Json
from ....domain.prompts import Message, Part, Reasoning, Refusal, ToolCall
from ...dialect import ProtocolError
from ...wire.failures import read_document
from ...wire.fields import read_items, read_mapping, read_text
from .content import read_content, read_reasoning
from .failures import raise_reported
from .finish import check_reason, read_finish


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer = read_document(body, raise_reported)
    choice = _first_choice(answer)
    message = read_mapping(choice, "message")
    raw_reason = choice.get("finish_reason")
    if message is None or not isinstance(raw_reason, str):
        raise ProtocolError("expected a choice with a message and a finish reason")
    check_reason(raw_reason)
    calls = tuple(_tool_call(call) for call in read_items(message, "tool_calls"))
    refusal = read_text(message, "refusal")
    return Answer(
        id=read_text(answer, "id"),
        message=Message(role="assistant", content=_parts(message, refusal), tool_calls=calls),
        finish=read_finish(
            raw_reason,
            read_text(answer, "model"),
            read_mapping(answer, "usage"),
            called=bool(calls),
            refused=bool(refusal),
        ),
    )


def _first_choice(answer: Mapping[str, Json]) -> Mapping[str, Json]:
    choices = read_items(answer, "choices")
    if not choices:
        raise ProtocolError("expected a choice")
    return choices[0]


def _parts(message: Mapping[str, Json], refusal: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    if thought := read_reasoning(message):
        parts.append(Reasoning(text=thought))
    parts += read_content(message.get("content"))
    if refusal:
        parts.append(Refusal(refusal))
    return tuple(parts)


def _tool_call(call: Mapping[str, Json]) -> ToolCall:
    function = read_mapping(call, "function")
    if function is None or not read_text(function, "name"):
        raise ProtocolError("expected a tool call with the tool's name")
    return ToolCall(
        id=read_text(call, "id"),
        name=read_text(function, "name"),
        arguments_json=read_text(function, "arguments"),
    )
