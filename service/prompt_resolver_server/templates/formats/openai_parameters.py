"""Parameters, tools and the choice of a tool by the names that OpenAI's chat API has for them.

What is wrong with them is their author's to mend: it is `FieldError`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from ...domain.parameters import Json, Parameters, find_limit
from ...domain.prompts import Tool, ToolChoice
from .fields import FieldError, Path, read_flag, read_parameters, read_tools, read_top_k

PARAMETERS = frozenset(
    {
        *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "response_format", "reasoning_effort"),
        "parallel_tool_calls",
    }
)
"""The names of the parameters that are read."""

_TOOL = frozenset({"name", "description", "parameters", "strict"})
_ANTHROPICS_SCHEMA = "input_schema"


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
        top_k=read_top_k(known),
        parallel_tool_calls=read_flag(known, "parallel_tool_calls"),
    )


def read_openai_tools(value: Json, path: Path) -> tuple[Tool, ...]:
    """Return the tools of a list: in OpenAI's form, with its envelope or without, or Anthropic's.

    What else is said of a tool is refused, as nothing would be made of it. Raises `FieldError`.
    """
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
    """Return a tool as a flat definition, whether it is OpenAI's envelope, flat, or Anthropic's."""
    if not isinstance(value, dict):
        return value
    tool: dict[str, Json] = {name: item for name, item in value.items() if item is not None}
    kind, function = tool.pop("type", None), tool.get("function")
    if kind not in (None, "function") and (kind != "custom" or _ANTHROPICS_SCHEMA not in tool):
        raise FieldError((*path, "type"), "expected function, the only kind that is served")
    if isinstance(function, dict):
        _check_names(tool, {"function"}, path)
        _check_names(function, _TOOL, (*path, "function"))
        return function
    if _ANTHROPICS_SCHEMA in tool and "parameters" not in tool:
        tool["parameters"] = tool.pop(_ANTHROPICS_SCHEMA)
    _check_names(tool, _TOOL, path)
    return tool


def _check_names(fields: Mapping[str, Json], known: Collection[str], path: Path) -> None:
    """Refuse what nothing would be made of."""
    for name, value in fields.items():
        if name not in known and value is not None:
            expected = " and ".join(sorted(known))
            raise FieldError((*path, name), f"expected {expected}, and nothing else of a tool")
