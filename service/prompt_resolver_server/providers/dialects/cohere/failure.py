"""Failures in Cohere's chat dialect: a status, and a text that tells more of some of them."""

from collections.abc import Mapping
from typing import NoReturn

from ....errors import Reason
from ....json_codec import JsonError, decode_json
from ....parameters import Json
from ...dialect import InBandError

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
    try:
        document = decode_json(body)
    except JsonError:
        document = None
    told = document.get("message") if isinstance(document, dict) else None
    return _REASONS_BY_STATUS.get(status) or _find_reason(told)


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of an event reports."""
    raise InBandError(_find_reason(error) or Reason.UPSTREAM_UNAVAILABLE)


def _find_reason(told: Json) -> Reason | None:
    words = told.lower() if isinstance(told, str) else ""
    return next(
        (
            reason
            for beginning, reason in _REASONS_BY_BEGINNING.items()
            if words.startswith(beginning)
        ),
        None,
    )
