"""Failures in Google's Gemini dialect: a status of `google.rpc`, a message and details."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.json_codec import JsonError, decode_json
from ....domain.parameters import Json
from ...wire.failures import find_by_beginning, raise_in_band, read_retry_delay, read_status

_REASONS_BY_STATUS: Mapping[str, Reason] = {
    "INVALID_ARGUMENT": Reason.UPSTREAM_REJECTED,
    "FAILED_PRECONDITION": Reason.UPSTREAM_REJECTED,
    "OUT_OF_RANGE": Reason.UPSTREAM_REJECTED,
    "UNIMPLEMENTED": Reason.UPSTREAM_REJECTED,
    "UNAUTHENTICATED": Reason.UPSTREAM_AUTH,
    "PERMISSION_DENIED": Reason.UPSTREAM_AUTH,
    "NOT_FOUND": Reason.MODEL_NOT_FOUND,
    "RESOURCE_EXHAUSTED": Reason.UPSTREAM_RATE_LIMITED,
    "ABORTED": Reason.UPSTREAM_UNAVAILABLE,
    "CANCELLED": Reason.UPSTREAM_UNAVAILABLE,
    "INTERNAL": Reason.UPSTREAM_UNAVAILABLE,
    "UNKNOWN": Reason.UPSTREAM_UNAVAILABLE,
    "UNAVAILABLE": Reason.UPSTREAM_UNAVAILABLE,
    "DEADLINE_EXCEEDED": Reason.UPSTREAM_TIMEOUT,
}

_REASONS_BY_BEGINNING: Mapping[Reason, Mapping[str, Reason]] = {
    # These have no status of their own. Should the API change its words, the status tells enough.
    Reason.UPSTREAM_REJECTED: {
        "the input token count": Reason.CONTEXT_LENGTH,
        "unable to submit request because the input token count": Reason.CONTEXT_LENGTH,
    },
    Reason.UPSTREAM_UNAVAILABLE: {"the model is overloaded": Reason.UPSTREAM_OVERLOADED},
}

_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_A_DAY = "PerDay"
"""What the names of those limits have in them that no moment's wait will lift."""


def classify_error(body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does."""
    return _find_reason(_find_error(body))


def raise_failure(document: bytes) -> None:
    """Raise what a document reports, alone or in a list, if it reports a failure."""
    if error := _find_error(document):
        raise_reported(error)


def raise_reported(error: Json) -> NoReturn:
    """Raise what is reported in place of an answer."""
    code = error.get("code") if isinstance(error, dict) else None
    raise_in_band(_find_reason(error), read_status(code), read_retry_delay(error))


def _find_error(document: bytes) -> Json:
    try:
        match decode_json(document):
            case {"error": error} | [{"error": error}]:
                return error
    except JsonError:
        pass
    return None


def _find_reason(error: Json) -> Reason | None:
    """Return the reason that an error gives by its status, or more closely by what it adds."""
    if not isinstance(error, dict):
        return None
    status = error.get("status")
    reason = _REASONS_BY_STATUS.get(status) if isinstance(status, str) else None
    if reason is Reason.UPSTREAM_REJECTED and _BAD_KEY & set(_words(error, "reason")):
        return Reason.UPSTREAM_AUTH
    if reason is Reason.UPSTREAM_RATE_LIMITED and _is_of_a_day(error):
        return Reason.UPSTREAM_QUOTA
    if reason is None:
        return None
    return find_by_beginning(error.get("message"), _REASONS_BY_BEGINNING.get(reason, {})) or reason


def _is_of_a_day(error: Mapping[str, Json]) -> bool:
    """Tell whether a limit was reached that holds for a day."""
    for violations in _values(error, "violations"):
        for violation in violations if isinstance(violations, list) else []:
            limit = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(limit, str) and _A_DAY in limit:
                return True
    return False


def _words(error: Mapping[str, Json], name: str) -> Iterator[str]:
    return (value for value in _values(error, name) if isinstance(value, str))


def _values(error: Mapping[str, Json], name: str) -> Iterator[Json]:
    """Return what the details of an error have under a name."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and name in detail:
            yield detail[name]
