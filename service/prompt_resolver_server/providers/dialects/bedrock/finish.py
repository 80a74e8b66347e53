"""How answers end in Bedrock's Converse dialect, and what they used."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.parameters import Json
from ...dialect import ProtocolError
from ...wire.fields import read_count
from ...wire.usage import count_input

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
"""The ends of what is no answer."""


class _Router(msgspec.Struct, rename="camel"):
    invoked_model_id: str = ""


class Trace(msgspec.Struct, rename="camel"):
    """How an answer came about: which model a router chose."""

    prompt_router: _Router | None = None


def check_reason(raw_reason: str) -> None:
    """Raise `ProtocolError` where the model has not made an answer."""
    if raw_reason in _MALFORMED:
        raise ProtocolError("what the model wrote is malformed")


def read_finish(raw_reason: str, usage: Mapping[str, Any] | None, trace: Trace | None) -> Finish:
    """Return how an answer ended. The API names the model only where a router has chosen it."""
    router = trace.prompt_router if trace is not None else None
    return Finish(
        reason=_FINISH_REASONS.get(raw_reason, "other"),
        raw_reason=raw_reason,
        model=router.invoked_model_id if router is not None else "",
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    others = read_count(usage, "inputTokens")
    read = read_count(usage, "cacheReadInputTokens")
    written = read_count(usage, "cacheWriteInputTokens")
    return Usage(
        input_tokens=count_input(others, cache_read=read, cache_write=written),
        output_tokens=read_count(usage, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
