"""Failures in Bedrock's Converse dialect: exceptions, by their names."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ...wire.failures import find_by_beginning, find_object, raise_in_band

_REASONS_BY_EXCEPTION: Mapping[str, Reason] = {
    "accessdeniedexception": Reason.UPSTREAM_AUTH,
    "internalserverexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelerrorexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelnotreadyexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelstreamerrorexception": Reason.UPSTREAM_UNAVAILABLE,
    "modeltimeoutexception": Reason.UPSTREAM_TIMEOUT,
    "resourcenotfoundexception": Reason.MODEL_NOT_FOUND,
    "serviceunavailableexception": Reason.UPSTREAM_OVERLOADED,
    "throttlingexception": Reason.UPSTREAM_RATE_LIMITED,
    "validationexception": Reason.UPSTREAM_REJECTED,
}

_EXCEPTIONS_BY_STATUS = {
    # The name is in a header, and these statuses say as much; others speak for themselves.
    400: "validationexception",
    424: "modelerrorexception",
    429: "throttlingexception",
    503: "serviceunavailableexception",
}

_REASONS_BY_BEGINNING: Mapping[Reason, Mapping[str, Reason]] = {
    # These have no name. Should the API change its words, they are what they are in general.
    Reason.UPSTREAM_REJECTED: {
        "input is too long": Reason.CONTEXT_LENGTH,
        "prompt is too long": Reason.CONTEXT_LENGTH,
        "the provided model identifier is invalid": Reason.MODEL_NOT_FOUND,
    },
    Reason.UPSTREAM_RATE_LIMITED: {"too many tokens per day": Reason.UPSTREAM_QUOTA},
}
_PASSED_ON = "the model returned the following errors: "
"""How a message begins that passes on what the model said."""


def classify_error(status: int, body: bytes) -> Reason | None:
    """Return the reason that an error's status and body give, if they do."""
    name = _EXCEPTIONS_BY_STATUS.get(status)
    return None if name is None else _find_reason(name, body)


def raise_exception(name: str, payload: bytes) -> NoReturn:
    """Raise what an exception inside of a stream reports."""
    raise_in_band(_find_reason(name.lower(), payload))


def _find_reason(name: str, payload: bytes) -> Reason | None:
    reason = _REASONS_BY_EXCEPTION.get(name)
    message = find_object(payload).get("message")
    if reason is None or not isinstance(message, str):
        return reason
    told = message.lower().removeprefix(_PASSED_ON)
    return find_by_beginning(told, _REASONS_BY_BEGINNING.get(reason, {})) or reason
