"""Lists of prompts as Langfuse's API answers them: names, versions and labels, without a text."""

from collections.abc import Sequence
from datetime import datetime

from ...domain.parameters import Json
from ...domain.values import Value
from ..formats.answers import (
    AnswerError,
    as_list,
    as_mapping,
    read_document,
    read_moment,
    read_required,
)


class Row(Value, frozen=True, kw_only=True):
    """What a list tells of a prompt: its name, its versions and the labels that they have."""

    name: str
    versions: tuple[int, ...]
    labels: tuple[str, ...]
    updated_at: datetime | None


class Rows(Value, frozen=True, kw_only=True):
    """A page of a list, and how many prompts and pages all of it has."""

    rows: tuple[Row, ...]
    total: int
    pages: int


def read_rows(body: bytes) -> Rows:
    """Return a page of prompts. Raises `AnswerError`."""
    document = read_document(body)
    meta = as_mapping(document.get("meta"), ("meta",))
    return Rows(
        rows=tuple(
            _read_row(item, index)
            for index, item in enumerate(as_list(document.get("data"), ("data",)))
        ),
        total=_number(meta.get("totalItems"), "totalItems"),
        pages=_number(meta.get("totalPages"), "totalPages"),
    )


def _read_row(item: Json, index: int) -> Row:
    row = as_mapping(item, ("data", index))
    return Row(
        name=read_required(row, "name", ("data", index)),
        versions=tuple(
            _number(each, "versions") for each in _list(row.get("versions"), index, "versions")
        ),
        labels=tuple(_label(each) for each in _list(row.get("labels"), index, "labels")),
        updated_at=read_moment(row, "lastUpdatedAt"),
    )


def _list(value: Json, index: int, name: str) -> Sequence[Json]:
    return as_list(value, ("data", index, name))


def _number(value: Json, name: str) -> int:
    if type(value) is not int or value < 0:
        raise AnswerError((name,), "expected a whole number")
    return value


def _label(value: Json) -> str:
    if not isinstance(value, str) or not value:
        raise AnswerError(("labels",), "expected texts")
    return value
