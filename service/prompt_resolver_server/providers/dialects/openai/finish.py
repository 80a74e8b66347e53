"""How answers end in OpenAI's chat dialect, and what they used."""

from collections.abc import Mapping

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.parameters import Json
from ...dialect import ProtocolError
from ...wire.fields import read_count, read_mapping

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_NO_REASONS = frozenset({"", "null"})
"""What some servers say while there is no reason yet."""


def read_reason(raw_reason: object) -> str | None:
    """Return why an answer has ended, or None where that is not said.

    Raises `ProtocolError` where it has ended in an error.
    """
    if not isinstance(raw_reason, str) or raw_reason.strip() in _NO_REASONS:
        return None
    if raw_reason == "error":
        raise ProtocolError("the answer ended in an error")
    return raw_reason


def read_finish(
    raw_reason: str,
    model: str,
    usage: Mapping[str, Json] | None,
    *,
    called: bool,
    refused: bool,
    spoke: bool,
) -> Finish:
    """Return how an answer ended, in which tools were called, that is a refusal, or that has text.

    Raises `ProtocolError` where it has ended in calls, and has neither these nor anything else.
    """
    reason = _FINISH_REASONS.get(raw_reason, "other")
    if reason == "tool_calls" and not (called or refused or spoke):
        raise ProtocolError("expected a tool call, in which the answer is said to have ended")
    if refused:
        reason = "refusal"
    elif called and raw_reason == "stop":
        reason = "tool_calls"
    return Finish(
        reason=reason,
        raw_reason=raw_reason,
        model=model,
        usage=_read_usage(usage) if usage is not None else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    """Return the counts of an answer.

    Some count what the model reasoned beside the rest of the answer, as their totals tell; we count
    it among that.
    """
    prompt = read_mapping(usage, "prompt_tokens_details")
    completion = read_mapping(usage, "completion_tokens_details")
    read, written = read_count(usage, "prompt_tokens"), read_count(usage, "completion_tokens")
    reasoned = read_count(completion, "reasoning_tokens") if completion else None
    if read is not None and written is not None and reasoned:
        beside = read + written + reasoned == read_count(usage, "total_tokens")
        written += reasoned if beside else 0
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=read_count(prompt, "cached_tokens") if prompt else None,
        cache_write_tokens=read_count(prompt, "cache_write_tokens") if prompt else None,
        reasoning_tokens=reasoned,
    )
