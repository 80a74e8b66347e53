"""Requests in Ollama's chat dialect."""

from collections.abc import Mapping

from ....answers import ModelRequest
from ....errors import unsupported
from ....json_codec import encode_json
from ....parameters import Json, ResponseFormat
from ....prompts import Tool
from ...dialect import Quirks
from ...wire.unsupported import check_insisted
from .messages import find_left_out, write_messages

_FIELDS = frozenset(
    {"format", "keep_alive", "logprobs", "options", "shift", "think", "top_logprobs", "truncate"}
)
"""The extra parameters that are fields of the body; all others are among the model's options."""

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


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    The name of a JSON Schema, and whether it is strict, have no place: the server keeps to it.
    Raises PARAMETER_UNSUPPORTED.
    """
    lacking = _lacking(request, quirks)
    check_insisted(lacking, request.insisted)
    body: dict[str, Json] = {
        **_parameters(request, lacking),
        "model": request.model,
        "messages": write_messages(request.messages),
        # Where it is missing, the server streams.
        "stream": stream,
    }
    # There is no tool choice: what must not be called is not told of.
    if request.tools and (request.tool_choice is None or request.tool_choice.mode != "none"):
        body["tools"] = [_tool(tool) for tool in request.tools]
    return encode_json(body), (*lacking, *find_left_out(request.messages))


def _lacking(request: ModelRequest, quirks: Quirks) -> tuple[str, ...]:
    """Return the names of what the request has and the dialect cannot express."""
    parameters, choice = request.parameters, request.tool_choice
    lacking = [name for name in (*parameters.names(), *parameters.extra) if name in quirks.lacks]
    if parameters.reasoning_effort is not None and parameters.reasoning_effort not in _THINK:
        lacking.append("reasoning_effort")
    if request.tools:
        if parameters.parallel_tool_calls is False:
            lacking.append("parallel_tool_calls")
        if choice is not None and choice.mode not in ("auto", "none"):
            lacking.append("tool_choice")
        if any(tool.strict for tool in request.tools):
            lacking.append("strict")
    return tuple(dict.fromkeys(lacking))


def _parameters(request: ModelRequest, lacking: tuple[str, ...]) -> dict[str, Json]:
    parameters = request.parameters
    extra = {name: value for name, value in parameters.extra.items() if name not in lacking}
    fields = {name: value for name, value in extra.items() if name in _FIELDS}
    given = fields.get("options", {})
    if not isinstance(given, dict):
        raise unsupported("parameters.extra.options", "expected a mapping")
    options = given | {name: value for name, value in extra.items() if name not in _FIELDS}
    for name in parameters.names():
        match getattr(parameters, name):
            case _ if name in lacking:
                continue
            case ResponseFormat(json_schema=None, type=kind):
                if kind == "json_object":
                    fields["format"] = "json"
            case ResponseFormat(json_schema=schema) if schema is not None:
                fields["format"] = dict(schema.schema)
            case str() as effort:
                fields["think"] = _THINK[effort]
            case value if name in _OPTIONS:
                options[_OPTIONS[name]] = list(value) if isinstance(value, tuple) else value
    return {**fields, "options": options} if options else fields


def _tool(tool: Tool) -> Json:
    parameters = {"type": "object", "properties": {}, **(tool.parameters or {})}
    function: dict[str, Json] = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
