"""Parameters in Cohere's chat dialect."""

from collections.abc import Mapping

from ....domain.answers import ModelRequest
from ....domain.parameters import Json, JsonSchema, ResponseFormat
from ...dialect import Quirks
from ...wire.effort import read_budget
from ...wire.openais_own import OPENAIS_OWN
from ...wire.unsupported import find_lacking

_NAMES: Mapping[str, str] = {
    **{name: name for name in ("temperature", "max_tokens", "seed")},
    **{name: name for name in ("presence_penalty", "frequency_penalty")},
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
}
_THINKING: Mapping[str, str] = {"none": "disabled", "high": "enabled"}
"""The efforts that there are, as the API reads them at its own door for OpenAI's dialect."""

_RANGES: Mapping[str, tuple[float, float]] = {
    "top_p": (0.01, 0.99),
    "top_k": (0, 500),
    "presence_penalty": (0, 1),
    "frequency_penalty": (0, 1),
    "seed": (0, 2**64 - 1),
}
_MAX_STOPS = 5
_FOREIGN = OPENAIS_OWN - {"logprobs"}


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A number as `reasoning_effort` is how many tokens the model may think. The name of a JSON
    Schema, and whether it is strict, have no place: the API keeps to it. Raises
    PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    lacking = find_lacking(request, quirks.lacks, _has_no_place)
    wire = {name: value for name, value in parameters.extra.items() if name not in lacking}
    for name in parameters.names():
        if name not in lacking:
            _write(wire, name, getattr(parameters, name))
    return wire, lacking


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    if name in _RANGES:
        least, most = _RANGES[name]
        if not least <= getattr(parameters, name) <= most:
            return True
    match name:
        case _ if name in _FOREIGN:
            return True
        case "stop":
            return len(parameters.stop) > _MAX_STOPS
        case "presence_penalty" | "frequency_penalty":
            # One of 0 changes nothing, and some models take but one of the two.
            return not getattr(parameters, name)
        case "reasoning_effort":
            return _thinking(parameters.reasoning_effort or "") is None
        case "parallel_tool_calls":
            # The model may always call several tools, and cannot be told otherwise.
            return parameters.parallel_tool_calls is False and bool(request.tools)
        case _:
            return False


def _write(wire: dict[str, Json], name: str, value: object) -> None:
    """Add a parameter to the body's fields."""
    match value:
        case tuple() as texts:
            wire[_NAMES[name]] = list(texts)
        case int() | float() if name in _NAMES:
            wire[_NAMES[name]] = value
        case ResponseFormat(json_schema=JsonSchema(schema=schema)):
            wire["response_format"] = {"type": "json_object", "json_schema": dict(schema)}
        case ResponseFormat(type="json_object"):
            wire["response_format"] = {"type": "json_object"}
        case str() as effort:
            wire["thinking"] = _thinking(effort)


def _thinking(effort: str) -> dict[str, Json] | None:
    """Return how the model should think, or None for an effort that there is not."""
    if effort in _THINKING:
        return {"type": _THINKING[effort]}
    budget = read_budget(effort)
    return {"type": "enabled", "token_budget": budget} if budget and budget > 0 else None
