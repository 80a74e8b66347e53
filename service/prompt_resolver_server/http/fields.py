"""Readers of the JSON that callers send: a field is what it should be, or REQUEST_INVALID."""

from collections.abc import Mapping

from ..domain.errors import CallError, invalid_request
from ..domain.json_codec import JsonError, decode_json
from ..domain.parameters import Json, kind_of


def read_document(body: bytes) -> Mapping[str, Json]:
    """Return a request's body, which must be a JSON object."""
    try:
        value = decode_json(body)
    except JsonError:
        raise invalid_request("body", "expected JSON") from None
    return as_mapping(value, "body")


def as_mapping(value: Json, path: str) -> dict[str, Json]:
    """Return a value that is an object."""
    if not isinstance(value, dict):
        raise unexpected(path, "an object", value)
    return value


def as_items(value: Json, path: str) -> list[Json]:
    """Return a value that is a list."""
    if not isinstance(value, list):
        raise unexpected(path, "a list", value)
    return value


def as_text(value: Json, path: str) -> str:
    """Return a value that is text and not empty."""
    if not isinstance(value, str):
        raise unexpected(path, "text", value)
    if not value:
        raise invalid_request(path, "expected text, got an empty one")
    return value


def read_text(source: Mapping[str, Json], name: str, path: str = "") -> str | None:
    """Return a field that is text and not empty, or None where it is missing or null."""
    value = source.get(name)
    return None if value is None else as_text(value, f"{path}{name}")


def read_flag(source: Mapping[str, Json], name: str, path: str = "") -> bool | None:
    """Return a field that is true or false, or None where it is missing or null."""
    value = source.get(name)
    if not isinstance(value, bool | None):
        raise unexpected(f"{path}{name}", "true or false", value)
    return value


def unexpected(path: str, expected: str, came: Json) -> CallError:
    """Return the error for a value of the wrong kind."""
    return invalid_request(path, f"expected {expected}, got {kind_of(came)}")
