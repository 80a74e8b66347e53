"""Picoschema, Google's short notation for JSON Schemas in YAML.

    name: string, the customer's name
    age?: integer
    tags(array, list of tags): string
    address?(object, where to send it):
      street: string
    color(enum): [RED, BLUE]
    (*): any

Fields are required unless their name ends in `?`, which makes them nullable, too; objects have no
other fields than these unless there is a field `(*)`. What already is a JSON Schema stays as it is.
"""

import re

from ...domain.parameters import Json
from .fields import FieldError, Path, check_nesting, unexpected

_SCALARS = ("any", "boolean", "integer", "null", "number", "string")
_TYPES = (*_SCALARS, "object", "array")
_EVERYTHING_ELSE = "(*)"
_NAME = re.compile(r"([^(?]+)(\?)?(?:\(([^,]*)(?:,(.*))?\))?\Z", re.DOTALL)

JsonSchemaObject = dict[str, Json]


def read_schema(value: Json, path: Path) -> JsonSchemaObject | None:
    """Return the JSON Schema that a field of a front matter says, or None where it is not set.

    Raises `FieldError`.
    """
    if value is None:
        return None
    check_nesting(value, path)
    schema = _read(value, path)
    # What is short to write may be deeper than what was written.
    check_nesting(schema, path)
    return schema


def _read(value: Json, path: Path) -> JsonSchemaObject:
    if isinstance(value, dict):
        if value.get("type") in _TYPES:
            return dict(value)
        if isinstance(value.get("properties"), dict):
            return {**value, "type": "object"}
    return _type(value, path)


def _type(value: Json, path: Path) -> JsonSchemaObject:
    match value:
        case None:
            # `null` is the name of a type, which YAML takes for nothing at all.
            return {"type": "null"}
        case str():
            return _scalar(value, path)
        case dict():
            return _object(value, path)
        case _:
            raise unexpected(path, "a type or a mapping of fields", value)


def _scalar(text: str, path: Path) -> JsonSchemaObject:
    name, _, description = text.partition(",")
    name, description = name.strip(), description.strip()
    if name not in _SCALARS:
        raise FieldError(path, f"expected one of the types {', '.join(_SCALARS)}")
    schema: JsonSchemaObject = {} if name == "any" else {"type": name}
    return {**schema, "description": description} if description else schema


def _object(fields: dict[str, Json], path: Path) -> JsonSchemaObject:
    properties: dict[str, Json] = {}
    required: list[Json] = []
    others: Json = False
    for key, value in fields.items():
        within = (*path, key)
        if key == _EVERYTHING_ELSE:
            others = _type(value, within)
            continue
        match = _NAME.match(key)
        if match is None:
            raise FieldError(
                within, "expected a name such as `tags`, `tags?` or `tags(array, a description)`"
            )
        name, optional, kind, description = match[1].strip(), bool(match[2]), match[3], match[4]
        if name in properties:
            raise FieldError(within, "expected each field once")
        schema = _property(kind, value, within)
        if description:
            schema["description"] = description.strip()
        properties[name] = _nullable(schema) if optional else schema
        if not optional:
            required.append(name)
    schema = {"type": "object", "properties": properties, "additionalProperties": others}
    return {**schema, "required": required} if required else schema


def _property(kind: str | None, value: Json, path: Path) -> JsonSchemaObject:
    """Return the schema of a field, whose name may tell its kind in parentheses."""
    match kind.strip() if kind is not None else None:
        case None:
            return _type(value, path)
        case "array":
            return {"type": "array", "items": _type(value, path)}
        case "object":
            if not isinstance(value, dict):
                raise unexpected(path, "a mapping of fields", value)
            return _object(value, path)
        case "enum":
            if not isinstance(value, list) or not value:
                raise unexpected(path, "a list of values", value)
            return {"enum": list(value)}
        case _:
            raise FieldError(path, "expected array, object or enum in parentheses")


def _nullable(schema: JsonSchemaObject) -> JsonSchemaObject:
    kind, values = schema.get("type"), schema.get("enum")
    if isinstance(kind, str) and kind != "null":
        return {**schema, "type": [kind, "null"]}
    if isinstance(values, list) and None not in values:
        return {**schema, "enum": [*values, None]}
    return schema
