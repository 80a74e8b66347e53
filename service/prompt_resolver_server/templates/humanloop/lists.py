"""Lists as Humanloop's API answers them.

A list that is none of this API's is `AnswerError`, as is a record that tells not which prompt it
is. A record whose author has to mend it is left out, and counted.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...domain.parameters import Json
from ...domain.prompts import PromptRef, Template
from ..formats.answers import (
    as_list,
    as_mapping,
    read_document,
    read_json,
    read_moment,
    read_required,
)
from ..formats.fields import FieldError, Path
from ..listing import Environment
from .prompt import read_template


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
    records = as_list(document.get("records"), ("records",))
    read = [_read(record, ("records", index)) for index, record in enumerate(records)]
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
    items = as_list(read_json(body), ())
    rows = [as_mapping(item, (index,)) for index, item in enumerate(items)]
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
            template=None if file is None else _read(file, (index, "file")),
        )


def _read(record: Json, path: Path) -> Template | None:
    document = as_mapping(record, path)
    try:
        return read_template(document, PromptRef(id=read_required(document, "id")))
    except FieldError:
        return None
