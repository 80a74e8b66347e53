"""Failures as providers report them: in the body of a response, or in place of an answer."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from ...domain.errors import Reason
from ...domain.json_codec import JsonError, decode_json
from ...domain.parameters import Json
from ...retry_after import read_number
from ..dialect import InBandError, ProtocolError
from .fields import read_object


def find_object(document: bytes) -> Mapping[str, Json]:
    """Return a document that is a JSON object, empty for any other: an error may be anything."""
    try:
        value = decode_json(document)
    except JsonError:
        return {}
    return value if isinstance(value, dict) else {}


def read_document(
    document: bytes, raise_reported: Callable[[Json], NoReturn]
) -> Mapping[str, Json]:
    """Return a JSON object, or raise what its `error` reports. Raises `ProtocolError`, too."""
    value = read_object(document)
    if error := value.get("error"):
        raise_reported(error)
    return value


def read_status(code: Json) -> int | None:
    """Return an HTTP status of a failure that stands as its code: as a number, or as text."""
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def find_by_beginning(message: Json, reasons: Mapping[str, Reason]) -> Reason | None:
    """Return the reason that a message gives by how it begins, in lower case, if it does."""
    told = message.lower() if isinstance(message, str) else ""
    return next((reason for words, reason in reasons.items() if told.startswith(words)), None)


def find_by_words(message: Json, reasons: Mapping[str, Reason]) -> Reason | None:
    """Return the reason that a message gives by words in it, in lower case, if it does."""
    told = message.lower() if isinstance(message, str) else ""
    return next((reason for words, reason in reasons.items() if words in told), None)


def read_retry_delay(error: Json) -> float | None:
    """Return how many seconds an error's `google.rpc.RetryInfo` asks to wait, if it has one."""
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (seconds := read_number(delay.removesuffix("s"))) is not None:
            return seconds
    return None


def raise_in_band(
    reason: Reason | None, status: int | None = None, retry_after_s: float | None = None
) -> NoReturn:
    """Raise what is reported in place of an answer: `ProtocolError` where that tells nothing."""
    if reason is None and status is None:
        raise ProtocolError("an error that is not known in place of an answer")
    raise InBandError(reason, status, retry_after_s)
