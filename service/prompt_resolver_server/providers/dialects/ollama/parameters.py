"""Parameters in Ollama's chat dialect."""

from collections.abc import Mapping

from ....domain.answers import ModelRequest
from ....domain.errors import unsupported
from ....domain.parameters import Json, JsonSchema, ResponseFormat
from ...dialect import Quirks
from ...wire.openais_own import OPENAIS_OWN
from ...wire.unsupported import find_lacking

_FIELDS = frozenset(
    {"format", "keep_alive", "logprobs", "options", "shift", "think", "top_logprobs", "truncate"}
)
"""The extra parameters that are fields of the body; all others are among the model's options."""

_FOREIGN = OPENAIS_OWN - _FIELDS

_OPTIONS: Mapping[str, str] = {
    **{name: name for name in ("temperature", "top_p", "top_k", "seed", "stop")},
    **{name: name for name in ("presence_penalty", "frequency_penalty")},
    "max_tokens": "num_predict",
}

_THINK: Mapping[str, bool | str] = {
    # As the server reads them at its own door for OpenAI's dialect.
    "none": False,
    "minimal": "low",
    **{effort: effort for effort in ("low", "medium", "high", "max")},
    "xhigh": "max",
}


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    The name of a JSON Schema, and whether it is strict, have no place: the server keeps to it.
    Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    lacking = find_lacking(request, quirks.lacks, _has_no_place)
    extra = {name: value for name, value in parameters.extra.items() if name not in lacking}
    fields = {name: value for name, value in extra.items() if name in _FIELDS}
    given = fields.get("options", {})
    if not isinstance(given, dict):
        raise unsupported("parameters.extra.options", "expected a mapping")
    options = given | {name: value for name, value in extra.items() if name not in _FIELDS}
    for name in parameters.names():
        if name not in lacking:
            _write(fields, options, name, getattr(parameters, name))
    return {**fields, "options": options} if options else fields, lacking


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    parameters = request.parameters
    match name:
        case _ if name in _FOREIGN:
            return True
        case "reasoning_effort":
            return parameters.reasoning_effort not in _THINK
        case "parallel_tool_calls":
            # The model may always call several tools, and cannot be told otherwise.
            return parameters.parallel_tool_calls is False and bool(request.tools)
        case _:
            return False


def _write(fields: dict[str, Json], options: dict[str, Json], name: str, value: object) -> None:
    """Add a parameter to the body's fields, or to the options of the model."""
    match value:
        case tuple() as texts:
            options[_OPTIONS[name]] = list(texts)
        case int() | float() if name in _OPTIONS:
            options[_OPTIONS[name]] = value
        case ResponseFormat(json_schema=JsonSchema(schema=schema)):
            fields["format"] = dict(schema)
        case ResponseFormat(type="json_object"):
            fields["format"] = "json"
        case str() as effort:
            fields["think"] = _THINK[effort]
