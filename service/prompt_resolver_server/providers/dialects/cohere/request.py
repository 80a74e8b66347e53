"""Requests in Cohere's chat dialect."""

from collections.abc import Mapping

from ....answers import ModelRequest
from ....json_codec import encode_json
from ....parameters import Json, JsonSchema, ResponseFormat
from ....prompts import Tool
from ...dialect import Quirks
from ...wire.unsupported import check_insisted
from .messages import write_message

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
_MAX_DIGITS = 10


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    A number as `reasoning_effort` is how many tokens the model may think. The name of a JSON
    Schema, and whether it is strict, have no place: the API keeps to it. Raises
    PARAMETER_UNSUPPORTED.
    """
    lacking = _lacking(request, quirks)
    check_insisted(lacking, request.insisted)
    body: dict[str, Json] = {
        **_parameters(request, lacking),
        "model": request.model,
        "messages": [
            write_message(message, f"messages[{index}]")
            for index, message in enumerate(request.messages)
        ],
        "stream": stream,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if any(tool.strict for tool in request.tools):
            body["strict_tools"] = True
        choice = request.tool_choice
        if choice is not None and choice.mode in ("required", "none"):
            body["tool_choice"] = choice.mode.upper()
    left_out = ("name",) if any(message.name for message in request.messages) else ()
    return encode_json(body), (*lacking, *left_out)


def _lacking(request: ModelRequest, quirks: Quirks) -> tuple[str, ...]:
    """Return the names of what the request has and the dialect cannot express."""
    parameters, choice = request.parameters, request.tool_choice
    lacking = [name for name in (*parameters.names(), *parameters.extra) if name in quirks.lacks]
    for name, (least, most) in _RANGES.items():
        value = getattr(parameters, name)
        if value is not None and not least <= value <= most:
            lacking.append(name)
    if len(parameters.stop) > _MAX_STOPS:
        lacking.append("stop")
    if parameters.reasoning_effort and _thinking(parameters.reasoning_effort) is None:
        lacking.append("reasoning_effort")
    if request.tools:
        if parameters.parallel_tool_calls is False:
            lacking.append("parallel_tool_calls")
        if choice is not None and choice.tool_name is not None:
            lacking.append("tool_choice")
    return tuple(dict.fromkeys(lacking))


def _parameters(request: ModelRequest, lacking: tuple[str, ...]) -> dict[str, Json]:
    parameters = request.parameters
    wire = {name: value for name, value in parameters.extra.items() if name not in lacking}
    for name in parameters.names():
        match getattr(parameters, name):
            case _ if name in lacking:
                continue
            case ResponseFormat(type="text"):
                continue
            case ResponseFormat(json_schema=JsonSchema() as schema):
                wire["response_format"] = {
                    "type": "json_object",
                    "json_schema": dict(schema.schema),
                }
            case ResponseFormat():
                wire["response_format"] = {"type": "json_object"}
            case str() as effort:
                wire["thinking"] = _thinking(effort)
            case 0 | 0.0 if name.endswith("_penalty"):
                # It changes nothing, and some models take but one of the two.
                continue
            case value if name in _NAMES:
                wire[_NAMES[name]] = list(value) if isinstance(value, tuple) else value
    return wire


def _thinking(effort: str) -> dict[str, Json] | None:
    """Return how the model should think, or None for an effort that there is not."""
    if effort in _THINKING:
        return {"type": _THINKING[effort]}
    if effort.isdecimal() and len(effort) <= _MAX_DIGITS and int(effort) > 0:
        return {"type": "enabled", "token_budget": int(effort)}
    return None


def _tool(tool: Tool) -> Json:
    function: dict[str, Json] = {
        "name": tool.name,
        "parameters": {"type": "object", "properties": {}, **(tool.parameters or {})},
    }
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
