"""Whole answers in OpenAI's chat dialect."""

from typing import Any

import msgspec

from ....domain.answers import Answer
from ....domain.json_codec import JsonError, JsonReader
from ....domain.prompts import Message, Part, Refusal, Text
from ...dialect import ProtocolError
from ...wire.failures import read_document
from .content import WireMessage, check_words, read_chunks, read_thoughts
from .failures import raise_reported
from .finish import read_finish, read_reason
from .tool_calls import read_call


class _Choice(msgspec.Struct):
    """One of the answers that were asked for."""

    message: WireMessage | None = None
    finish_reason: object = None


class _Completion(msgspec.Struct):
    """A whole response."""

    id: str | int | None = None
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
    message, raw_reason = choice.message, read_reason(choice.finish_reason)
    if message is None or raw_reason is None:
        raise ProtocolError("expected a choice with a message and a finish reason")
    calls = tuple(map(read_call, message.calls))
    said = Message(role="assistant", content=_parts(message), tool_calls=calls)
    if message.is_beyond_words:
        check_words(spoke=bool(calls or said.text or message.refusal))
    return Answer(
        id=str(completion.id or ""),
        message=said,
        finish=read_finish(
            raw_reason,
            completion.model or "",
            completion.usage,
            called=bool(calls),
            refused=bool(message.refusal),
            spoke=bool(said.text),
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
