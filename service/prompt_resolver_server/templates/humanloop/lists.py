"""Lists as Humanloop's API answers them.

A list that is none of this API's is `AnswerError`, as is a record that tells not which prompt it
is. A record whose author has to mend it is left out, and counted.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...json_codec import JsonError, decode_json
from ...parameters import Json, kind_of
from ...prompts import PromptRef, Template
from ..formats.fields import FieldError
from ..listing import Environment
from .prompt import (
    AnswerError,
    read_document,
    read_moment,
    read_required,
    read_template,
)


class Records(NamedTuple):
    """The templates of a list, how many others are broken, and what the list says of its total."""

    templates: tuple[Template, ...]
    broken: int
    total: int | None


def read_records(body: bytes) -> Records:
    """Return the templates of a page of prompts, or of the list of a prompt's versions.

    Raises `AnswerError`.
    """
    document = read_document(body)
    records = document.get("records")
    if not isinstance(records, list):
        raise AnswerError(("records",), f"expected a list, got {kind_of(records)}")
    read = [_read(record, f"records.{index}") for index, record in enumerate(records)]
    templates = tuple(template for template in read if template is not None)
    total = document.get("total")
    return Records(
        templates=templates,
        broken=len(read) - len(templates),
        total=total if type(total) is int and total >= 0 else None,
    )


def read_environments(body: bytes) -> tuple[tuple[Environment, ...], int]:
    """Return the environments of a prompt, and how many of the deployed versions are broken.

    Raises `AnswerError`.
    """
    try:
        items = decode_json(body)
    except JsonError:
        raise AnswerError((), "expected JSON") from None
    if not isinstance(items, list):
        raise AnswerError((), f"expected a list, got {kind_of(items)}")
    rows = [_mapping(item, str(index)) for index, item in enumerate(items)]
    environments = tuple(_environments(rows))
    deployed = sum(row.get("file") is not None for row in rows)
    return environments, deployed - sum(each.template is not None for each in environments)


def _environments(rows: Iterable[Mapping[str, Json]]) -> Iterable[Environment]:
    for index, row in enumerate(rows):
        file, tag = row.get("file"), row.get("tag")
        yield Environment(
            id=read_required(row, "id"),
            name=read_required(row, "name"),
            tag=tag if isinstance(tag, str) else "other",
            created_at=read_moment(row, "created_at"),
            template=None if file is None else _read(file, f"{index}.file"),
        )


def _read(record: Json, place: str) -> Template | None:
    document = _mapping(record, place)
    try:
        return read_template(document, PromptRef(id=read_required(document, "id")))
    except FieldError:
        return None


def _mapping(value: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise AnswerError((place,), f"expected a mapping, got {kind_of(value)}")
    return value
