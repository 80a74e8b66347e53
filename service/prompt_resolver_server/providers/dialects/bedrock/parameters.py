"""Parameters in Bedrock's Converse dialect.

It has fields for what all models know. What else a model takes stands in a field of its own, in
that model's words: that is where extra parameters go, apart from those that are Converse's.
"""

from collections.abc import Mapping

from ....domain.answers import ModelRequest
from ....domain.errors import unsupported
from ....domain.json_codec import encode_json
from ....domain.parameters import Json, JsonSchema, Parameters
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
from .model import is_anthropic, is_openai

_OF_MODEL = "additionalModelRequestFields"
_OF_CONVERSE = frozenset(
    {
        *("additionalModelResponseFieldPaths", "guardrailConfig", "inferenceConfig"),
        *("outputConfig", "performanceConfig", "projectIdentifier", "promptVariables"),
        *("requestMetadata", "serviceTier", _OF_MODEL),
    }
)
# Anthropic's models have one of these, too.
_FOREIGN = OPENAIS_OWN - {"metadata"}
_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A word as `reasoning_effort` is the API's effort; a number is how many tokens a model of
    Anthropic's may think, and `none` that it does not. Whether a JSON Schema is strict has no
    place: the API keeps to it. Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    if "toolConfig" in parameters.extra:
        raise unsupported("parameters.extra.toolConfig", "expected tools in the field of their own")
    lacking = find_lacking(request, quirks.lacks, _has_no_place)
    dropped = tuple(dict.fromkeys((*lacking, *find_redundant(request))))
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


def thinks(request: ModelRequest) -> bool:
    """Tell whether a model of Anthropic's is asked to think before it answers."""
    extra = request.parameters.extra
    fields = extra.get(_OF_MODEL)
    given = extra.get("thinking") or (fields.get("thinking") if isinstance(fields, dict) else None)
    budget = read_budget(request.parameters.reasoning_effort)
    return is_thinking(given) or (budget is not None and is_anthropic(request.model))


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    if name in _FOREIGN:
        return not is_openai(request.model)
    match name:
        case "seed" | "presence_penalty" | "frequency_penalty":
            return True
        case "parallel_tool_calls":
            return not parameters.parallel_tool_calls
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type == "json_object"
        case "reasoning_effort":
            effort = parameters.reasoning_effort
            is_of_thinking = effort == NO_EFFORT or read_budget(effort) is not None
            return effort not in EFFORTS and not (is_of_thinking and is_anthropic(request.model))
        case "stop" if is_anthropic(request.model):
            return not all(text.strip() for text in parameters.stop)
        case "stop":
            return not all(parameters.stop)
        case "temperature" if (parameters.temperature or 0) > MAX_TEMPERATURE:
            return True
        case "top_k" if not is_anthropic(request.model):
            return True
        case _:
            return thinks(request) and is_refused_while_thinking(name, parameters)


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
        case "reasoning_effort" if value in EFFORTS:
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
    if parameters.reasoning_effort == NO_EFFORT:
        return {"type": "disabled"}
    budget = read_budget(parameters.reasoning_effort) or 0
    check_budget(budget)
    check_max_tokens(parameters.max_tokens, budget)
    return {"type": "enabled", "budget_tokens": budget}
