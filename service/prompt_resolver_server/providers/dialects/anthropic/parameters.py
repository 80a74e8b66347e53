"""Parameters in Anthropic's Messages dialect."""

from collections.abc import Mapping

from ....answers import ModelRequest
from ....errors import unsupported
from ....parameters import Json, JsonSchema, Parameters, ResponseFormat
from ...dialect import Quirks
from ...wire.schemas import close_objects
from ...wire.unsupported import check_insisted

DEFAULT_MAX_TOKENS = 4096
"""How many tokens an answer may have, beside those of thinking, where nobody says."""

_MIN_BUDGET = 1024
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_NO_EFFORT = "none"
_LACKS = frozenset({"seed", "presence_penalty", "frequency_penalty"})
_SAME = frozenset({"temperature", "top_p", "top_k"})
_MAX_DIGITS = 10


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A number as `reasoning_effort` is how many tokens the model may think, and `none` that it does
    not; another word is the API's effort. The name of a JSON Schema, and whether it is strict, have
    no place: the API keeps to it. Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    budget = _read_budget(parameters.reasoning_effort or "")
    if budget is not None and budget < _MIN_BUDGET:
        expected = f"expected a word, or {_MIN_BUDGET} or more"
        raise unsupported("parameters.reasoning_effort", expected)
    lacking = [
        name
        for name in (*parameters.names(), *parameters.extra)
        if name in _LACKS or name in quirks.lacks or _has_no_place(name, request)
    ]
    check_insisted(lacking, request.insisted)
    dropped = tuple(dict.fromkeys((*lacking, *_redundant(request))))
    wire: dict[str, Json] = {
        name: value for name, value in parameters.extra.items() if name not in dropped
    }
    for name in parameters.names():
        if name not in dropped:
            _write(wire, name, parameters)
    wire["max_tokens"] = _max_tokens(parameters.max_tokens, wire.get("thinking"))
    return wire, dropped


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    match name:
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type == "json_object"
        case "reasoning_effort":
            effort = parameters.reasoning_effort or ""
            return effort not in (*_EFFORTS, _NO_EFFORT) and _read_budget(effort) is None
        case "parallel_tool_calls":
            return not request.tools
        case "stop":
            return not all(text.strip() for text in parameters.stop)
        # A model that thinks takes none that change how it samples.
        case "temperature":
            temperature = parameters.temperature or 0
            return temperature > 1 or (temperature != 1 and thinks(parameters))
        case "top_p":
            return (parameters.top_p or 0) < 0.95 and thinks(parameters)
        case "top_k":
            return thinks(parameters)
        case _:
            return False


def _redundant(request: ModelRequest) -> tuple[str, ...]:
    """Return the names of parameters that change nothing, and that newer models refuse."""
    parameters = request.parameters
    both = parameters.top_p == 1 and parameters.temperature is not None
    return ("top_p",) if both and "top_p" not in request.insisted else ()


def thinks(parameters: Parameters) -> bool:
    """Tell whether the model is asked to think before it answers."""
    given = parameters.extra.get("thinking")
    asked = isinstance(given, dict) and given.get("type") in ("enabled", "adaptive")
    return asked or _read_budget(parameters.reasoning_effort or "") is not None


def _read_budget(effort: str) -> int | None:
    """Return the number of tokens that an effort is, or None for a word."""
    digits = effort.removeprefix("-")
    if not digits.isdecimal() or len(digits) > _MAX_DIGITS:
        return None
    return int(effort)


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
        case str() as effort if effort in _EFFORTS:
            wire["output_config"] = {**_mapping(wire, "output_config"), "effort": effort}
        case str() as effort if effort == _NO_EFFORT:
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
    if asked is None:
        return thought + DEFAULT_MAX_TOKENS
    if asked <= thought:
        raise unsupported(
            "parameters.max_tokens", "expected more tokens than those that the model may think"
        )
    return asked
