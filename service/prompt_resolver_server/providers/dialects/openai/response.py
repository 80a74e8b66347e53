"""Whole answers in OpenAI's chat dialect."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ....domain.answers import Answer
from ....domain.json_codec import JsonError, JsonReader
from ....domain.parameters import Json
from ....domain.prompts import Message, Part, Refusal, Text, ToolCall
from ...dialect import ProtocolError
from ...wire.failures import read_document
from ...wire.fields import read_mapping, read_text
from .content import WireMessage, read_chunks, read_thoughts
from .failures import raise_reported
from .finish import check_reason, read_finish


class _Choice(msgspec.Struct):
    """One of the answers that were asked for."""

    message: WireMessage | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    """A whole response."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_COMPLETIONS = JsonReader(_Completion)


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    completion = _read(body)
    if completion.error:
        raise_reported(completion.error)
    if not completion.choices:
        raise ProtocolError("expected a choice")
    choice = completion.choices[0]
    message, raw_reason = choice.message, choice.finish_reason
    if message is None or raw_reason is None:
        raise ProtocolError("expected a choice with a message and a finish reason")
    check_reason(raw_reason)
    calls = tuple([_tool_call(call) for call in message.tool_calls]) if message.tool_calls else ()
    return Answer(
        id=completion.id or "",
        message=Message(role="assistant", content=_parts(message), tool_calls=calls),
        finish=read_finish(
            raw_reason,
            completion.model or "",
            completion.usage,
            called=bool(calls),
            refused=bool(message.refusal),
        ),
    )


def _read(body: bytes) -> _Completion:
    try:
        return _COMPLETIONS.read(body)
    except JsonError:
        # What reports a failure need not have the form of an answer.
        read_document(body, raise_reported)
        raise ProtocolError("expected a completion") from None


def _parts(message: WireMessage) -> tuple[Part, ...]:
    parts: list[Part] = []
    if thoughts := message.reasoning_content or message.reasoning:
        parts.append(read_thoughts(thoughts))
    content = message.content
    if isinstance(content, list):
        parts += read_chunks(content)
    elif content:
        parts.append(Text(content))
    if message.refusal:
        parts.append(Refusal(message.refusal))
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
