"""Failures in Anthropic's Messages dialect."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.parameters import Json
from ...wire.failures import find_by_beginning, find_object, raise_in_band

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


def classify_error(body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does."""
    return _find_reason(find_object(body).get("error"))


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a JSON object reports."""
    raise_in_band(_find_reason(error))


def _find_reason(error: Json) -> Reason | None:
    """Return the reason that an error gives by its code, its type, or the way it begins."""
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    words = [word for word in (code, error.get("type")) if isinstance(word, str)]
    reason = next((_REASONS_BY_WORD[word] for word in words if word in _REASONS_BY_WORD), None)
    if reason is Reason.UPSTREAM_REJECTED:
        return find_by_beginning(error.get("message"), _REASONS_BY_BEGINNING) or reason
    return reason
