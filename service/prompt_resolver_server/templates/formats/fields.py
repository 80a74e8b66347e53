"""The fields of a Humanloop prompt, which its API, its exports and its `.prompt` files share.

A field that is null, or is `max_tokens: -1`, counts as not set. Fields that are not read here are
for display and never reach a provider.
"""

import math
from collections.abc import Mapping

from msgspec.structs import replace

from ...domain.json_codec import count_values, is_deeper
from ...domain.parameters import (
    Json,
    JsonSchema,
    LimitName,
    Parameters,
    ResponseFormat,
    kind_of,
    refusal,
    take_limit,
)
from ...domain.prompts import MAX_LEVELS, Tool

Path = tuple[str | int, ...]

# More would hold up other calls, each time that they are written into a response.
_MAX_VALUES = 10_000
PLACED_IN_OTHER = ("top_k", "parallel_tool_calls")
"""The parameters with a field of their own here, and none in Humanloop's prompts."""

_SHORT_INTEGERS = ("max_tokens", "max_completion_tokens", "top_k")


class FieldError(Exception):
    """A field that is not what it should be: where it is, and what was expected and came.

    `forbidden` tells a field that is well formed but asks for what a prompt may not have.
    """

    def __init__(self, path: Path, problem: str, *, forbidden: bool = False) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem
        self.forbidden = forbidden


def read_text(fields: Mapping[str, Json], name: str) -> str | None:
    """Return a field that is text, or None where it is not set or empty."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise unexpected((name,), "text", value)


def read_parameters(
    fields: Mapping[str, Json], *, limit_name: LimitName = "max_tokens"
) -> Parameters:
    """Return the parameters among the fields, one of which has the limit. Raises `FieldError`."""
    max_tokens = read_integer(fields, limit_name)
    if max_tokens == -1:
        max_tokens = None
    if max_tokens is not None and max_tokens < 1:
        raise FieldError((limit_name,), "expected a number from 1, or -1 for no limit")
    temperature, top_p = _number(fields, "temperature"), _number(fields, "top_p")
    if temperature is not None and temperature < 0:
        raise FieldError(("temperature",), "expected a number from 0")
    if top_p is not None and not 0 <= top_p <= 1:
        raise FieldError(("top_p",), "expected a number from 0 to 1")
    parameters = Parameters(
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        limit_name=limit_name if max_tokens is not None else "max_tokens",
        stop=_stop(fields.get("stop")),
        presence_penalty=_number(fields, "presence_penalty"),
        frequency_penalty=_number(fields, "frequency_penalty"),
        seed=read_integer(fields, "seed"),
        reasoning_effort=_reasoning_effort(fields.get("reasoning_effort")),
        response_format=_response_format(fields.get("response_format")),
        extra=_extra(fields.get("other")),
    )
    return take_limit(parameters) if parameters.extra else parameters


def read_prompt_parameters(fields: Mapping[str, Json]) -> Parameters:
    """Return the parameters of a prompt, those included that `other` alone has a place for.

    Raises `FieldError`.
    """
    other = fields.get("other")
    if not isinstance(other, dict):
        return read_parameters(fields)
    placed = {name: other[name] for name in PLACED_IN_OTHER if name in other}
    others = {name: value for name, value in other.items() if name not in placed}
    parameters = read_parameters({**fields, "other": others})
    try:
        return replace(
            parameters,
            top_k=read_top_k(placed),
            parallel_tool_calls=read_flag(placed, "parallel_tool_calls"),
        )
    except FieldError as error:
        raise FieldError(("other", *error.path), error.problem) from None


def read_top_k(fields: Mapping[str, Json]) -> int | None:
    """Return how many tokens are chosen from, or None where it is not set. Raises `FieldError`."""
    top_k = read_integer(fields, "top_k")
    if top_k is not None and top_k < 1:
        raise FieldError(("top_k",), "expected a whole number from 1")
    return top_k


def read_flag(fields: Mapping[str, Json], name: str) -> bool | None:
    """Return a field that is true or false, or None where it is not set. Raises `FieldError`."""
    value = fields.get(name)
    if not isinstance(value, bool | None):
        raise unexpected((name,), "true or false", value)
    return value


def read_tools(value: Json, path: Path) -> tuple[Tool, ...]:
    """Return the tools of a list of flat definitions. Raises `FieldError`."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise unexpected(path, "a list of tools", value)
    return tuple(_tool(item, (*path, index)) for index, item in enumerate(value))


def _tool(value: Json, path: Path) -> Tool:
    if not isinstance(value, dict):
        raise unexpected(path, "a tool with a name", value)
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise unexpected((*path, "name"), "the tool's name", name)
    description = value.get("description")
    if not isinstance(description, str | None):
        raise unexpected((*path, "description"), "text", description)
    parameters = value.get("parameters")
    if not isinstance(parameters, dict | None):
        raise unexpected((*path, "parameters"), "a JSON Schema", parameters)
    check_nesting(parameters, (*path, "parameters"))
    check_count(parameters, (*path, "parameters"))
    strict = value.get("strict")
    if not isinstance(strict, bool | None):
        raise unexpected((*path, "strict"), "true or false", strict)
    return Tool(name=name, description=description or "", parameters=parameters, strict=strict)


def _number(fields: Mapping[str, Json], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unexpected((name,), "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FieldError((name,), "expected a finite number")
    return number


def read_integer(fields: Mapping[str, Json], name: str) -> int | None:
    """Return a field that is a whole number, or None where it is not set. Raises `FieldError`."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise unexpected((name,), "a whole number", value)
    if (not -(2**31) <= value < 2**31 and name in _SHORT_INTEGERS) or not -(2**63) <= value < 2**63:
        raise FieldError((name,), "expected a smaller number")
    return value


def _stop(value: Json) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise unexpected(("stop",), "text or a list of texts", value)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise unexpected(("stop", index), "text", text)
    return tuple(text for text in texts if isinstance(text, str))


def _reasoning_effort(value: Json) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise unexpected(("reasoning_effort",), "a word or a whole number", value)
    return None if value is None else str(value)


def _response_format(value: Json) -> ResponseFormat | None:
    if value is None:
        return None
    path: Path = ("response_format",)
    if not isinstance(value, dict):
        raise unexpected(path, "a mapping with a type", value)
    match value.get("type"):
        case "text":
            return ResponseFormat(type="text")
        case "json_object":
            return ResponseFormat(type="json_object")
        case "json_schema":
            return ResponseFormat(type="json_schema", json_schema=_json_schema(value, path))
        case _:
            raise FieldError((*path, "type"), "expected text, json_object or json_schema")


def _json_schema(form: Mapping[str, Json], path: Path) -> JsonSchema:
    inner = form.get("json_schema")
    path = (*path, "json_schema")
    if not isinstance(inner, dict):
        raise unexpected(path, "a mapping with a name and a schema", inner)
    name, schema, strict = inner.get("name"), inner.get("schema"), inner.get("strict")
    if not isinstance(name, str) or not name:
        raise unexpected((*path, "name"), "the schema's name", name)
    if not isinstance(schema, dict):
        raise unexpected((*path, "schema"), "a JSON Schema", schema)
    check_nesting(schema, (*path, "schema"))
    if not isinstance(strict, bool | None):
        raise unexpected((*path, "strict"), "true or false", strict)
    description = inner.get("description")
    if not isinstance(description, str | None):
        raise unexpected((*path, "description"), "text", description)
    if description:
        # A schema has a place for it of its own.
        schema = {"description": description, **schema}
    return JsonSchema(name=name, schema=schema, strict=strict)


def _extra(value: Json) -> Mapping[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unexpected(("other",), "a mapping", value)
    check_nesting(value, ("other",))
    extra = {name: item for name, item in value.items() if item is not None}
    for name in extra:
        if problem := refusal(name):
            raise FieldError(("other", name), f"refused, as it {problem}", forbidden=True)
    return extra


def check_nesting(value: Json, path: Path) -> None:
    """Refuse a value that no message of the contract could carry. Raises `FieldError`."""
    if is_deeper(value, MAX_LEVELS):
        raise FieldError(path, f"expected at most {MAX_LEVELS} levels of nesting")


def check_count(value: Json, path: Path) -> None:
    """Refuse a value of which a message could be made in no good time. Raises `FieldError`."""
    if count_values(value, _MAX_VALUES) > _MAX_VALUES:
        raise FieldError(path, f"expected at most {_MAX_VALUES} values")


def unexpected(path: Path, expected: str, came: Json) -> FieldError:
    """Return the error for a value of another kind than was expected."""
    return FieldError(path, f"expected {expected}, got {kind_of(came)}")
