"""What a template may be that Humanloop's API has no form for, in a form of our own.

It is what this service's own door answers beside the API's fields, and what its store reads from
there: so that a service may be the store of another one. The API's clients pass it over.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import field

from ...domain.parameters import Json, JsonObject
from ...domain.prompts import Placeholder, Template, ToolChoice
from ...domain.values import Value
from ..formats.answers import AnswerError
from ..formats.fields import check_nesting

EXTENSION = "prompt_resolver"
"""The field of a prompt that has it."""

PLACEHOLDER = "placeholder"
"""The role of what stands in a list of messages for those of a placeholder, by its name."""


class Extension(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What these fields are of a `Template`."""

    tool_choice: ToolChoice | None = None
    defaults: JsonObject = field(default_factory=dict)
    schema: JsonObject | None = None
    partials: Mapping[str, str] = field(default_factory=dict)
    snippets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def fields(self) -> Mapping[str, Any]:
        """Return the fields by their names in a `Template`."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def write_extension(template: Template) -> Mapping[str, Json]:
    """Return the field, or nothing where the API's own say all of a template."""
    values = {name: getattr(template, name) for name in Extension.__struct_fields__}
    extension: dict[str, Json] = msgspec.to_builtins(Extension(**values))
    return {EXTENSION: extension} if extension else {}


def write_placeholder(placeholder: Placeholder) -> Json:
    """Return what stands among the messages of a template."""
    return {"role": PLACEHOLDER, "name": placeholder.name}


def read_extension(document: Mapping[str, Json]) -> Extension:
    """Return what the field says. Raises `AnswerError` and `FieldError`."""
    try:
        extension = msgspec.convert(document.get(EXTENSION) or {}, Extension)
    except msgspec.ValidationError:
        raise AnswerError((EXTENSION,), "expected what this service writes") from None
    for name in ("defaults", "schema"):
        check_nesting(getattr(extension, name), (EXTENSION, name))
    return extension
