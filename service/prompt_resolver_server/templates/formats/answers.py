"""JSON that the services behind stores answer with, read field by field.

What an API has to get right is read here: anything else than what it promises is `AnswerError`.
What an author has to get right is read as `fields` says.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from ...domain.json_codec import JsonError, decode_json, encode_json, is_deeper
from ...domain.parameters import Json, kind_of
from .fields import Path

# What is nested further is no prompt of anybody's.
_MAX_LEVELS = 250

_Item = TypeVar("_Item")


class AnswerError(Exception):
    """An answer that is none of this API's: where, and what was expected and came."""

    def __init__(self, path: Path, problem: str) -> None:
        place = ".".join(map(str, path))
        super().__init__(f"{place}: {problem}" if place else problem)


def read_json(body: bytes) -> Json:
    """Return a body that is JSON. Raises `AnswerError`, as all of these do."""
    try:
        return decode_json(body)
    except JsonError:
        raise AnswerError((), "expected JSON") from None


def read_document(body: bytes) -> Mapping[str, Json]:
    """Return a body that is a JSON object."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise unexpected((), "a JSON object", value)
    return value


def read_required(document: Mapping[str, Json], name: str, path: Path = ()) -> str:
    """Return a field that is text and not empty."""
    value = read_text(document, name, path)
    if not value:
        raise AnswerError((*path, name), "expected text, got an empty one")
    return value


def read_text(document: Mapping[str, Json], name: str, path: Path = ()) -> str:
    """Return a field that is text."""
    value = document.get(name)
    if not isinstance(value, str):
        raise unexpected((*path, name), "text", value)
    return value


def read_optional_text(document: Mapping[str, Json], name: str, path: Path = ()) -> str | None:
    """Return a field that is text, or None where it is not set."""
    return None if document.get(name) is None else read_text(document, name, path)


def read_shown(document: Mapping[str, Json], name: str) -> str:
    """Return a field that is for display: empty where it is not text."""
    text = document.get(name)
    return text if isinstance(text, str) else ""


def read_moment(document: Mapping[str, Json], name: str) -> datetime | None:
    """Return a field that is a moment, in UTC unless it says otherwise; None for anything else."""
    try:
        moment = datetime.fromisoformat(read_shown(document, name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_each(
    document: Mapping[str, Json], name: str, path: Path, read: Callable[[Json, Path], _Item]
) -> tuple[_Item, ...]:
    """Read each item of a list that may be missing."""
    items, path = document.get(name), (*path, name)
    if items is None:
        return ()
    return tuple(read(item, (*path, index)) for index, item in enumerate(as_list(items, path)))


def digest(content: Mapping[str, Json]) -> str:
    """Return the hash of what is served, whatever the order of its keys."""
    if is_deeper(dict(content), _MAX_LEVELS):
        raise AnswerError((), "expected less nesting")
    return hashlib.sha256(encode_json(dict(content), sort=True)).hexdigest()


def as_mapping(value: Json, path: Path) -> Mapping[str, Json]:
    """Return a value that is a mapping."""
    if not isinstance(value, dict):
        raise unexpected(path, "a mapping", value)
    return value


def as_list(value: Json, path: Path) -> list[Json]:
    """Return a value that is a list."""
    if not isinstance(value, list):
        raise unexpected(path, "a list", value)
    return value


def unexpected(path: Path, expected: str, came: Json) -> AnswerError:
    """Return the error for a value of another kind, which is not told."""
    return AnswerError(path, f"expected {expected}, got {kind_of(came)}")
