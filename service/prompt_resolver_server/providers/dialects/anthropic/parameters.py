"""Parameters in Anthropic's Messages dialect."""

from collections.abc import Mapping

from ....domain.answers import ModelRequest
from ....domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from ...dialect import Quirks
from ...wire.effort import read_budget
from ...wire.openais_own import OPENAIS_OWN
from ...wire.schemas import close_objects
from ...wire.thinking import (
    EFFORTS,
    MAX_TEMPERATURE,
    NO_EFFORT,
    check_budget,
    check_max_tokens,
    find_redundant,
    is_refused_while_thinking,
    is_thinking,
)
from ...wire.unsupported import find_lacking

DEFAULT_MAX_TOKENS = 4096
"""How many tokens an answer may have, beside those of thinking, where nobody says."""

_SAME = frozenset({"temperature", "top_p", "top_k"})
_END_USER = ("safety_identifier", "user")
"""Who uses the application, by OpenAI's names, of which the first counts; here it is metadata."""

_TIERS = ("auto", "standard_only")
_FOREIGN = OPENAIS_OWN - {"metadata", "service_tier", *_END_USER}


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A number as `reasoning_effort` is how many tokens the model may think, and `none` that it does
    not; another word is the API's effort. The name of a JSON Schema, and whether it is strict, have
    no place: the API keeps to it. OpenAI's `user` and `safety_identifier` are the metadata's
    `user_id`. Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    if (budget := read_budget(parameters.reasoning_effort)) is not None:
        check_budget(budget)
    lacking = find_lacking(request, quirks.lacks, _has_no_place)
    dropped = tuple(dict.fromkeys((*lacking, *find_redundant(request))))
    wire: dict[str, Json] = {
        name: value for name, value in parameters.extra.items() if name not in dropped
    }
    for name in _END_USER:
        if name in wire:
            wire["metadata"] = {**_mapping(wire, "metadata"), "user_id": wire.pop(name)}
    for name in parameters.names():
        if name not in dropped:
            _write(wire, name, parameters)
    asked = parameters.max_tokens if "max_tokens" not in dropped else None
    wire["max_tokens"] = _max_tokens(asked, wire.get("thinking"))
    return wire, dropped


def thinks(parameters: Parameters) -> bool:
    """Tell whether the model is asked to think before it answers."""
    budget = read_budget(parameters.reasoning_effort)
    return budget is not None or is_thinking(parameters.extra.get("thinking"))


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    if name in _FOREIGN:
        return True
    match name:
        case "seed" | "presence_penalty" | "frequency_penalty":
            return True
        case "service_tier":
            return parameters.extra[name] not in _TIERS
        case "safety_identifier" | "user":
            return parameters.extra[name] != _end_user(parameters.extra)
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type == "json_object"
        case "reasoning_effort":
            effort = parameters.reasoning_effort
            return effort not in (*EFFORTS, NO_EFFORT) and read_budget(effort) is None
        case "parallel_tool_calls":
            return not request.tools
        case "stop":
            return not all(text.strip() for text in parameters.stop)
        case "temperature" if (parameters.temperature or 0) > MAX_TEMPERATURE:
            return True
        case _:
            return thinks(parameters) and is_refused_while_thinking(name, parameters)


def _end_user(extra: Mapping[str, Json]) -> str | None:
    """Return who uses the application, by the first of those names that tells."""
    metadata = extra.get("metadata", {})
    told = metadata.get("user_id") if isinstance(metadata, dict) else metadata
    for value in (told, *map(extra.get, _END_USER)):
        if value is not None:
            return value if isinstance(value, str) and isinstance(metadata, dict) else None
    return None


def _write(wire: dict[str, Json], name: str, parameters: Parameters) -> None:
    """Add a parameter to the body's fields, and to what extra parameters hold of the same field."""
    match getattr(parameters, name):
        case value if name in _SAME:
            wire[name] = value
        case tuple() as texts:
            wire["stop_sequences"] = list(texts)
        case ResponseFormat(json_schema=JsonSchema() as schema):
            form: Json = {"type": "json_schema", "schema": close_objects(schema.schema)}
            wire["output_config"] = {**_mapping(wire, "output_config"), "format": form}
        case str() as effort if effort in EFFORTS:
            wire["output_config"] = {**_mapping(wire, "output_config"), "effort": effort}
        case str() as effort if effort == NO_EFFORT:
            wire["thinking"] = {"type": "disabled"}
        case str() as effort:
            thinking = _mapping(wire, "thinking")
            wire["thinking"] = {**thinking, "type": "enabled", "budget_tokens": int(effort)}


def _mapping(wire: Mapping[str, Json], name: str) -> dict[str, Json]:
    value = wire.get(name)
    return value if isinstance(value, dict) else {}


def _max_tokens(asked: int | None, thinking: Json) -> int:
    """Return how many tokens the answer may have, those of thinking included."""
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    thought = budget if isinstance(budget, int) else 0
    check_max_tokens(asked, thought)
    return thought + DEFAULT_MAX_TOKENS if asked is None else asked
