"""Failures in Ollama's chat dialect: a text is all that it tells of them."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.parameters import Json
from ...wire.failures import find_by_words, find_object, raise_in_band

_REASONS_BY_WORDS: Mapping[str, Reason] = {
    # Should the server change its words, its statuses still tell most of it.
    "server busy": Reason.UPSTREAM_OVERLOADED,
    "context length": Reason.CONTEXT_LENGTH,
    "context size": Reason.CONTEXT_LENGTH,
}


def classify_error(body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does."""
    return _find_reason(find_object(body).get("error"))


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a line, or of a whole answer, reports."""
    # Where a status could still be told, it would be 500.
    raise_in_band(_find_reason(error) or Reason.UPSTREAM_UNAVAILABLE)


def _find_reason(error: Json) -> Reason | None:
    if not isinstance(error, str):
        return None
    told = error.lower()
    if told.startswith("model ") and "not found" in told:
        return Reason.MODEL_NOT_FOUND
    return find_by_words(told, _REASONS_BY_WORDS)
