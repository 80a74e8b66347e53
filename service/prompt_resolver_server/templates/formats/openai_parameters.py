"""Parameters, tools and the choice of a tool by the names that OpenAI's chat API has for them.

What is wrong with them is their author's to mend: it is `FieldError`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from ...domain.parameters import Json, Parameters, find_limit, kind_of
from ...domain.prompts import Tool, ToolChoice
from .fields import FieldError, Path, read_parameters, read_tools

PARAMETERS = frozenset(
    {
        *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "response_format", "reasoning_effort"),
        "parallel_tool_calls",
    }
)
"""The names of the parameters that are read."""


@contextmanager
def inside(*path: str | int) -> Iterator[None]:
    """Tell of the fields that are at fault where they are: below a path."""
    try:
        yield
    except FieldError as error:
        place = (*path, *error.path)
        raise FieldError(place, error.problem, forbidden=error.forbidden) from None


def read_openai_parameters(
    fields: Mapping[str, Json], extra: Mapping[str, Json] | None = None
) -> Parameters:
    """Return the parameters among the fields, and `extra` ones as far as they may be passed on.

    `max_completion_tokens` wins over `max_tokens`, whose newer name it is.
    """
    known = {name: fields[name] for name in PARAMETERS & fields.keys()}
    try:
        parameters = read_parameters(
            {**known, "other": dict(extra or {})}, limit_name=find_limit(known)
        )
    except FieldError as error:
        path = error.path[1:] if error.path[0] == "other" else error.path
        raise FieldError(path, error.problem, forbidden=error.forbidden) from None
    return replace(
        parameters,
        top_k=_top_k(known.get("top_k")),
        parallel_tool_calls=_flag(known, "parallel_tool_calls"),
    )


def read_openai_tools(value: Json, path: Path) -> tuple[Tool, ...]:
    """Return the tools of a list, each of them OpenAI's envelope or what would be inside of it."""
    if not isinstance(value, list):
        return read_tools(value, path)
    return read_tools([_unwrap(item, (*path, index)) for index, item in enumerate(value)], path)


def read_openai_tool_choice(value: Json, path: Path) -> ToolChoice | None:
    """Return the choice of a tool, or None where it is not set."""
    match value:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(mode=value)
        case {"type": "function", "function": {"name": str(name)}} if name:
            return ToolChoice(tool_name=name)
        case _:
            raise FieldError(path, "expected auto, none, required or a function")


def _unwrap(value: Json, path: Path) -> Json:
    if not isinstance(value, dict):
        return value
    if value.get("type") not in (None, "function"):
        raise FieldError((*path, "type"), "expected function, the only kind that is served")
    return value.get("function", value)


def _top_k(value: Json) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise FieldError(("top_k",), f"expected a whole number, got {kind_of(value)}")
    if value is not None and not 1 <= value < 2**31:
        raise FieldError(("top_k",), "expected a whole number from 1, of at most 31 bits")
    return value


def _flag(fields: Mapping[str, Json], name: str) -> bool | None:
    value = fields.get(name)
    if not isinstance(value, bool | None):
        raise FieldError((name,), f"expected true or false, got {kind_of(value)}")
    return value
