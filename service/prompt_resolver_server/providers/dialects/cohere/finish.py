"""How answers end in Cohere's chat dialect, and what they used."""

from collections.abc import Mapping

from ....domain.answers import Finish, FinishReason, Usage
from ....domain.errors import Reason
from ....domain.parameters import Json
from ...dialect import InBandError, ProtocolError
from ...wire.fields import read_count, read_mapping

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}


def read_finish(raw_reason: str, usage: Mapping[str, Json] | None) -> Finish:
    """Return how an answer ended; the API does not name the model.

    Raises `ProtocolError` and `InBandError` for an answer that did not come to its end.
    """
    reason = _FINISH_REASONS.get(raw_reason, "other")
    if raw_reason == "TIMEOUT":
        raise InBandError(Reason.UPSTREAM_TIMEOUT)
    if reason == "other" and raw_reason.startswith("ERROR"):
        raise ProtocolError("the answer ended in an error")
    return Finish(
        reason=reason,
        raw_reason=raw_reason,
        model="",
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    """Return the counts of an answer. What is billed leaves out what the API adds to a prompt."""
    counts = read_mapping(usage, "tokens") or read_mapping(usage, "billed_units") or {}
    return Usage(
        input_tokens=read_count(counts, "input_tokens"),
        output_tokens=read_count(counts, "output_tokens"),
        cache_read_tokens=read_count(usage, "cached_tokens"),
    )
