"""Requests in OpenAI's chat dialect."""

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Tool, ToolChoice
from ...dialect import Quirks
from .messages import write_messages
from .parameters import write_parameters


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    Raises PARAMETER_UNSUPPORTED for what must be sent and the provider lacks, and for content that
    the dialect cannot carry.
    """
    parameters, dropped = write_parameters(request, quirks)
    body: dict[str, Json] = {
        **parameters,
        "model": _model(request.model, quirks),
        "messages": write_messages(request.messages, quirks),
    }
    if request.tools:
        body["tools"] = [write_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if stream:
        body["stream"] = True
        if "stream_options" not in quirks.lacks:
            body["stream_options"] = {"include_usage": True}
    return encode_json(body), dropped


def _model(model: str, quirks: Quirks) -> str:
    return model if "/" in model else quirks.model_prefix + model


def write_tool(tool: Tool) -> Json:
    """Return a tool as a function."""
    function: dict[str, Json] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = dict(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> Json:
    if choice.tool_name is not None:
        return {"type": "function", "function": {"name": choice.tool_name}}
    return choice.mode
