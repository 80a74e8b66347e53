"""How answers end in Google's Gemini dialect, and what they used."""

from collections.abc import Mapping

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.parameters import Json
from ...dialect import ProtocolError
from ...wire.fields import read_count

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
        ),
        "content_filter",
    ),
}

_FAILURES = frozenset(
    {
        *("FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"),
        *("UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    }
)
"""The ends of what is no answer."""


def check_reason(raw_reason: str) -> None:
    """Raise `ProtocolError` where an answer has ended in an error."""
    if raw_reason in _FAILURES:
        raise ProtocolError("the answer ended in an error")


def read_finish(raw_reason: str, model: str, usage: Mapping[str, Json], *, called: bool) -> Finish:
    """Return how an answer ended, in which functions were called or not."""
    reason = _FINISH_REASONS.get(raw_reason, "other")
    return Finish(
        reason="tool_calls" if called and reason == "stop" else reason,
        raw_reason=raw_reason,
        model=model,
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    """Return the counts of an answer.

    The API counts thoughts beside the rest of the answer, and what its own tools gave the model to
    read beside the prompt; we count them among these. Its cache's share is in the prompt's count.
    """
    thoughts = read_count(usage, "thoughtsTokenCount")
    return Usage(
        input_tokens=_add(
            read_count(usage, "promptTokenCount"), read_count(usage, "toolUsePromptTokenCount")
        ),
        output_tokens=_add(read_count(usage, "candidatesTokenCount"), thoughts),
        cache_read_tokens=read_count(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


def _add(count: int | None, beside: int | None) -> int | None:
    """Return a sum; what is not there is nothing, unless all of it is not."""
    return None if count is None and beside is None else (count or 0) + (beside or 0)
