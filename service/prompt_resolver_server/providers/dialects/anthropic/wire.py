"""What whole answers and streams have in common in Anthropic's Messages dialect."""

from collections.abc import Mapping
from typing import NoReturn

from ....answers import Finish, FinishReason, Usage
from ....errors import Reason
from ....parameters import Json
from ...dialect import InBandError, ProtocolError
from ...wire.fields import read_count, read_mapping, read_object

_MAX_WORD = 64
"""How much is kept of a provider's own word for the end of an answer."""

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}

_REASONS_BY_WORD: Mapping[str, Reason] = {
    # Codes, which tell more than the types do.
    "contract_spend_limit_reached": Reason.UPSTREAM_QUOTA,
    "enforced_spend_limit_reached": Reason.UPSTREAM_QUOTA,
    # Types.
    "invalid_request_error": Reason.UPSTREAM_REJECTED,
    "exceed_context_size_error": Reason.CONTEXT_LENGTH,
    "authentication_error": Reason.UPSTREAM_AUTH,
    "permission_error": Reason.UPSTREAM_AUTH,
    "billing_error": Reason.UPSTREAM_QUOTA,
    "not_found_error": Reason.MODEL_NOT_FOUND,
    "request_too_large": Reason.REQUEST_TOO_LARGE,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "api_error": Reason.UPSTREAM_UNAVAILABLE,
    "timeout_error": Reason.UPSTREAM_TIMEOUT,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
}

_REASONS_BY_BEGINNING: Mapping[str, Reason] = {
    # These have no code. Should the API change its words, they are requests that are refused.
    "prompt is too long": Reason.CONTEXT_LENGTH,
    "input length and `max_tokens` exceed context limit": Reason.CONTEXT_LENGTH,
    "your credit balance is too low": Reason.UPSTREAM_QUOTA,
}


def read_document(document: bytes) -> Mapping[str, Json]:
    """Read a JSON object that may report a failure in place of an answer."""
    value = read_object(document)
    if value.get("error"):
        raise_reported(value["error"])
    return value


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a JSON object reports."""
    reason = find_reason(error)
    if reason is not None:
        raise InBandError(reason)
    raise ProtocolError("an error that is not known in place of an answer")


def find_reason(error: Json) -> Reason | None:
    """Return the reason that an error gives by its code, its type, or the way it begins."""
    if not isinstance(error, dict):
        return None
    details, message = error.get("details"), error.get("message")
    code = details.get("error_code") if isinstance(details, dict) else None
    words = [word for word in (code, error.get("type")) if isinstance(word, str)]
    reason = next((_REASONS_BY_WORD[word] for word in words if word in _REASONS_BY_WORD), None)
    if reason is Reason.UPSTREAM_REJECTED and isinstance(message, str):
        told = message.lower()
        for beginning, closer in _REASONS_BY_BEGINNING.items():
            if told.startswith(beginning):
                return closer
    return reason


def read_finish(raw_reason: str, model: str, usage: Mapping[str, Json] | None) -> Finish:
    """Return how an answer ended."""
    return Finish(
        reason=_FINISH_REASONS.get(raw_reason, "other"),
        raw_reason=raw_reason[:_MAX_WORD],
        model=model,
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    """Return the counts of an answer, or None where there are none.

    The API counts the tokens of the prompt that it read from its cache, or wrote to it, beside the
    others; we count them among them.
    """
    fresh = read_count(usage, "input_tokens")
    read = read_count(usage, "cache_read_input_tokens")
    written = read_count(usage, "cache_creation_input_tokens")
    details = read_mapping(usage, "output_tokens_details") or {}
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=read_count(usage, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=read_count(details, "thinking_tokens"),
    )
