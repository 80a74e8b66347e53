"""What whole answers and streams have in common in OpenAI's chat dialect."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

from ....answers import FinishReason, Usage
from ....errors import Reason
from ....parameters import Json
from ....prompts import Reasoning, Text
from ...dialect import InBandError, ProtocolError
from ...wire.fields import read_count, read_items, read_mapping, read_object, read_text

MAX_WORD = 64
"""How much is kept of a provider's own word for the end of an answer."""

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

_REASONS_BY_CODE: Mapping[str, Reason] = {
    "context_length_exceeded": Reason.CONTEXT_LENGTH,
    "exceed_context_size_error": Reason.CONTEXT_LENGTH,
    "string_above_max_length": Reason.CONTEXT_LENGTH,
    "content_policy_violation": Reason.CONTENT_BLOCKED,
    "content_filter": Reason.CONTENT_BLOCKED,
    "insufficient_quota": Reason.UPSTREAM_QUOTA,
    "billing_hard_limit_reached": Reason.UPSTREAM_QUOTA,
    "model_not_found": Reason.MODEL_NOT_FOUND,
    "DeploymentNotFound": Reason.MODEL_NOT_FOUND,
    "rate_limit_exceeded": Reason.UPSTREAM_RATE_LIMITED,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
    "engine_overloaded": Reason.UPSTREAM_OVERLOADED,
    "server_error": Reason.UPSTREAM_UNAVAILABLE,
    "service_unavailable": Reason.UPSTREAM_UNAVAILABLE,
}


def find_reason(error: Mapping[str, Json]) -> Reason | None:
    """Return the reason that an error gives by one of its known codes, if it does."""
    for name in ("code", "type"):
        word = error.get(name)
        if isinstance(word, str) and word in _REASONS_BY_CODE:
            return _REASONS_BY_CODE[word]
    return None


def read_document(document: bytes) -> Mapping[str, Json]:
    """Read a JSON object that may report a failure in place of an answer."""
    value = read_object(document)
    if value.get("error"):
        raise_reported(value["error"])
    return value


def raise_error(document: bytes) -> NoReturn:
    """Raise what a JSON object reports that is known to report a failure."""
    value = read_object(document)
    raise_reported(value.get("error") or dict(value))


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a JSON object reports."""
    if isinstance(error, dict):
        reason, status = find_reason(error), _read_status(error.get("code"))
        if reason is not None or status is not None:
            raise InBandError(reason, status)
    raise ProtocolError("an error that is not known in place of an answer")


def _read_status(code: Json) -> int | None:
    """Return an HTTP status that stands as an error's code: as a number, or as text."""
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def read_reasoning(message: Mapping[str, Json]) -> str:
    """Return the reasoning in a message or a delta."""
    # Two names for the same thing; servers that send both send the same text in both.
    return read_text(message, "reasoning_content") or read_text(message, "reasoning")


def read_content(content: Json) -> Iterator[Text | Reasoning]:
    """Return the content of a message or a delta: a text, or a list of chunks.

    Chunks of unknown kinds are skipped: an API may add some. Raises `ProtocolError`.
    """
    whole: Json = [{"type": "text", "text": content}]
    chunks = content if isinstance(content, list) else whole
    for chunk in read_items({"content": chunks}, "content"):
        text = read_text(chunk, "text")
        if chunk.get("type") == "text" and text:
            yield Text(text)
        if chunk.get("type") == "thinking":
            thoughts = read_items(chunk, "thinking")
            yield Reasoning(text="".join(read_text(each, "text") for each in thoughts))


def to_finish_reason(raw: str, *, called: bool, refused: bool) -> FinishReason:
    """Return our word for the end of an answer. Raises `ProtocolError` for one that is an error."""
    if raw == "error":
        raise ProtocolError("the answer ended in an error")
    if refused:
        return "refusal"
    if called and raw == "stop":
        return "tool_calls"
    return _FINISH_REASONS.get(raw, "other")


def read_usage(usage: Mapping[str, Json] | None) -> Usage | None:
    """Return the counts of an answer, or None where there are none.

    Some count what the model reasoned beside the rest of the answer, as their totals tell; we count
    it among that.
    """
    if usage is None:
        return None
    prompt = read_mapping(usage, "prompt_tokens_details") or {}
    completion = read_mapping(usage, "completion_tokens_details") or {}
    read, written = read_count(usage, "prompt_tokens"), read_count(usage, "completion_tokens")
    reasoned = read_count(completion, "reasoning_tokens")
    if read is not None and written is not None and reasoned:
        beside = read + written + reasoned == read_count(usage, "total_tokens")
        written += reasoned if beside else 0
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=read_count(prompt, "cached_tokens"),
        cache_write_tokens=read_count(prompt, "cache_write_tokens"),
        reasoning_tokens=reasoned,
    )
