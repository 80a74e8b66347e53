"""Parameters in Bedrock's Converse dialect.

It has fields for what all models know. What else a model takes stands in a field of its own, in
that model's words: that is where extra parameters go, apart from those that are Converse's.
"""

from collections.abc import Mapping

from ....answers import ModelRequest
from ....errors import unsupported
from ....json_codec import encode_json
from ....parameters import Json, JsonSchema, Parameters
from ...dialect import Quirks
from ...wire.schemas import close_objects
from ...wire.unsupported import check_insisted
from .model import is_anthropic

_OF_MODEL = "additionalModelRequestFields"
_OF_CONVERSE = frozenset(
    {
        *("additionalModelResponseFieldPaths", "guardrailConfig", "inferenceConfig"),
        *("outputConfig", "performanceConfig", "projectIdentifier", "promptVariables"),
        *("requestMetadata", "serviceTier", _OF_MODEL),
    }
)
_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}
_LACKS = frozenset({"seed"})
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_MIN_BUDGET = 1024
_MAX_DIGITS = 10


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A word as `reasoning_effort` is the API's effort; a number is how many tokens a model of
    Anthropic's may think. Whether a JSON Schema is strict has no place: the API keeps to it.
    Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    if "toolConfig" in parameters.extra:
        raise unsupported("parameters.extra.toolConfig", "expected tools in the field of their own")
    lacking = [
        name
        for name in (*parameters.names(), *parameters.extra)
        if name in _LACKS or name in quirks.lacks or _has_no_place(name, request)
    ]
    check_insisted(lacking, request.insisted)
    dropped = tuple(dict.fromkeys((*lacking, *_redundant(request))))
    body = _Body()
    for name, value in parameters.extra.items():
        if name not in dropped:
            body.add_extra(name, value)
    for name in parameters.names():
        if name not in dropped:
            _write(body, name, parameters)
    return body.fields, dropped


class _Body:
    """The fields of a body."""

    def __init__(self) -> None:
        self.fields: dict[str, Json] = {}

    def add_extra(self, name: str, value: Json) -> None:
        """Add an extra parameter where the API, or else the model, has it."""
        if name not in _OF_CONVERSE:
            self.add(_OF_MODEL, name, value)
        elif name == _OF_MODEL and isinstance(value, dict):
            self.fields[name] = {**value, **self._mapping(name)}
        else:
            self.fields[name] = value

    def add(self, group: str, name: str, value: Json) -> None:
        """Add to a group of fields."""
        self.fields[group] = {**self._mapping(group), name: value}

    def _mapping(self, name: str) -> Mapping[str, Json]:
        value = self.fields.get(name)
        return value if isinstance(value, dict) else {}


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    budget = _read_budget(parameters.reasoning_effort or "")
    is_thinking = thinks(request)
    match name:
        case "presence_penalty":
            return parameters.presence_penalty != 0
        case "frequency_penalty":
            return parameters.frequency_penalty != 0
        case "parallel_tool_calls":
            return not parameters.parallel_tool_calls
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type == "json_object"
        case "reasoning_effort":
            known = parameters.reasoning_effort in _EFFORTS
            return not known and (budget is None or not is_anthropic(request.model))
        case "stop" if is_anthropic(request.model):
            return not all(text.strip() for text in parameters.stop)
        case "stop":
            return not all(parameters.stop)
        case "top_k":
            return is_thinking or not is_anthropic(request.model)
        # A model of Anthropic's that thinks takes none that change how it samples.
        case "temperature":
            temperature = parameters.temperature or 0
            return temperature > 1 or (is_thinking and temperature != 1)
        case "top_p":
            return is_thinking and (parameters.top_p or 0) < 0.95
        case _:
            return False


def _redundant(request: ModelRequest) -> tuple[str, ...]:
    """Return the names of parameters that change nothing, and that newer models refuse."""
    parameters = request.parameters
    both = parameters.top_p == 1 and parameters.temperature is not None
    return ("top_p",) if both and "top_p" not in request.insisted else ()


def thinks(request: ModelRequest) -> bool:
    """Tell whether a model of Anthropic's is asked to think before it answers."""
    extra = request.parameters.extra
    fields = extra.get(_OF_MODEL)
    given = extra.get("thinking") or (fields.get("thinking") if isinstance(fields, dict) else None)
    asked = isinstance(given, dict) and given.get("type") in ("enabled", "adaptive")
    budget = _read_budget(request.parameters.reasoning_effort or "")
    return asked or (budget is not None and is_anthropic(request.model))


def _read_budget(effort: str) -> int | None:
    """Return the number of tokens that an effort is, or None for a word."""
    digits = effort.removeprefix("-")
    if not digits.isdecimal() or len(digits) > _MAX_DIGITS:
        return None
    return int(effort)


def _write(body: _Body, name: str, parameters: Parameters) -> None:
    """Add a parameter to the body, and to what extra parameters hold of the same field."""
    value = getattr(parameters, name)
    match name:
        case "max_tokens" | "temperature" | "top_p":
            body.add("inferenceConfig", _INFERENCE[name], value)
        case "stop":
            body.add("inferenceConfig", "stopSequences", list(value))
        case "top_k":
            body.add(_OF_MODEL, "top_k", value)
        case "response_format" if value.json_schema is not None:
            body.add("outputConfig", "textFormat", _text_format(value.json_schema))
        case "reasoning_effort" if value in _EFFORTS:
            body.add("outputConfig", "effort", value)
        case "reasoning_effort":
            body.add(_OF_MODEL, "thinking", _thinking(parameters))


def _text_format(form: JsonSchema) -> Json:
    schema = encode_json(close_objects(form.schema)).decode()
    return {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": schema, "name": form.name}},
    }


def _thinking(parameters: Parameters) -> Json:
    budget = _read_budget(parameters.reasoning_effort or "") or 0
    if budget < _MIN_BUDGET:
        raise unsupported(
            "parameters.reasoning_effort", f"expected a word, or {_MIN_BUDGET} or more"
        )
    if parameters.max_tokens is not None and parameters.max_tokens <= budget:
        raise unsupported(
            "parameters.max_tokens", "expected more tokens than those that the model may think"
        )
    return {"type": "enabled", "budget_tokens": budget}
