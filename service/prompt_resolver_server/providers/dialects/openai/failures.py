"""Failures in OpenAI's chat dialect."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.parameters import Json
from ...wire.failures import find_object, raise_in_band, read_status
from ...wire.fields import read_object

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


def classify_error(body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does."""
    return _find_reason(find_object(body).get("error"))


def raise_error(document: bytes) -> NoReturn:
    """Raise what a JSON object reports that is known to report a failure."""
    value = read_object(document)
    raise_reported(value.get("error") or dict(value))


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a JSON object reports."""
    code = error.get("code") if isinstance(error, dict) else None
    raise_in_band(_find_reason(error), read_status(code))


def _find_reason(error: Json) -> Reason | None:
    """Return the reason that an error gives by one of its known codes, if it does."""
    words = [error.get(name) for name in ("code", "type")] if isinstance(error, dict) else []
    known = (word for word in words if isinstance(word, str) and word in _REASONS_BY_CODE)
    return next((_REASONS_BY_CODE[word] for word in known), None)
