"""An answer's wire format in Google's Gemini dialect: a whole one is a stream's only chunk."""

from typing import Any

import msgspec

from ....domain.json_codec import JsonError, JsonReader
from ...dialect import ProtocolError
from .failures import raise_failure, raise_reported


class FunctionCall(msgspec.Struct):
    """A call of a tool. Not every model gives it an id."""

    id: str | None = None
    name: str | None = None
    args: dict[str, Any] | None = None


class Part(msgspec.Struct, rename="camel"):
    """A part of what the model says."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: object = None


class Content(msgspec.Struct):
    """What the model says."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers that were asked for."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | None = None


class Feedback(msgspec.Struct, rename="camel"):
    """What the API says of the prompt."""

    block_reason: str | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """A part of an answer. Counts are cumulative, so that the last ones are those of all of it."""

    response_id: str | None = None
    model_version: str | None = None
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: dict[str, Any] | None = None
    error: Any = None


_CHUNKS = JsonReader(Chunk)


def read_chunk(document: bytes) -> Chunk:
    """Read a chunk, or raise what is reported in place of one, and `ProtocolError`."""
    try:
        chunk = _CHUNKS.read(document)
    except JsonError as error:
        # What reports a failure need not have the form of an answer.
        raise_failure(document)
        raise ProtocolError(str(error)) from None
    if chunk.error:
        raise_reported(chunk.error)
    return chunk
