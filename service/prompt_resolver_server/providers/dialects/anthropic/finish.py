"""How answers end in Anthropic's Messages dialect, and what they used."""

from collections.abc import Mapping

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.parameters import Json
from ...wire.fields import read_count, read_mapping
from ...wire.usage import count_input

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


def read_finish(raw_reason: str, model: str, usage: Mapping[str, Json] | None) -> Finish:
    """Return how an answer ended."""
    return Finish(
        reason=_FINISH_REASONS.get(raw_reason, "other"),
        raw_reason=raw_reason,
        model=model,
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    others = read_count(usage, "input_tokens")
    read = read_count(usage, "cache_read_input_tokens")
    written = read_count(usage, "cache_creation_input_tokens")
    details = read_mapping(usage, "output_tokens_details") or {}
    return Usage(
        input_tokens=count_input(others, cache_read=read, cache_write=written),
        output_tokens=read_count(usage, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=read_count(details, "thinking_tokens"),
    )
