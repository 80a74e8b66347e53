"""Failures in Cohere's chat dialect: a status, and a text that tells more of some of them."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.parameters import Json
from ...wire.failures import find_by_beginning, find_object, raise_in_band

_REASONS_BY_STATUS: Mapping[int, Reason] = {
    498: Reason.CONTENT_BLOCKED,  # A deny-listed token in the prompt or in the answer.
    499: Reason.UPSTREAM_UNAVAILABLE,  # Cancelled, and not by us: we would not be there to read it.
}

_REASONS_BY_BEGINNING: Mapping[str, Reason] = {
    # These have no code. Should the API change its words, they are requests that are refused.
    "too many tokens: max tokens": Reason.UPSTREAM_REJECTED,
    "too many tokens": Reason.CONTEXT_LENGTH,
}


def classify_error(status: int, body: bytes) -> Reason | None:
    """Return the reason that an error's status and body give, if they give a closer one."""
    return _REASONS_BY_STATUS.get(status) or _find_reason(find_object(body).get("message"))


def raise_reported(message: Json) -> NoReturn:
    """Raise what the message of a failure inside of a stream reports."""
    raise_in_band(_find_reason(message) or Reason.UPSTREAM_UNAVAILABLE)


def _find_reason(message: Json) -> Reason | None:
    return find_by_beginning(message, _REASONS_BY_BEGINNING)
