"""Requests in Bedrock's Converse dialect."""

from ....answers import ModelRequest
from ....errors import CallError, Reason, Violation, unsupported
from ....json_codec import encode_json
from ....parameters import Json
from ....prompts import Tool, ToolChoice
from ...dialect import Quirks
from .messages import write_messages
from .parameters import write_parameters


def build_body(request: ModelRequest, quirks: Quirks) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of the parameters that it leaves out.

    Raises MESSAGES_MISSING where only the system speaks, and PARAMETER_UNSUPPORTED for a parameter
    that the caller insists on and the dialect lacks, for numbers of tokens that contradict each
    other, and for content that the dialect cannot carry.
    """
    system, turns = write_messages(request.messages)
    if not turns:
        expected = "expected one of a user, an assistant or a tool that is not empty"
        raise CallError(
            Reason.MESSAGES_MISSING,
            f"messages: {expected}, as the provider answers no system message alone",
            violations=(Violation("messages", expected),),
        )
    parameters, dropped = write_parameters(request, quirks)
    body: dict[str, Json] = {**parameters, "messages": turns}
    if system:
        body["system"] = system
    if tools := _tool_config(request):
        body["toolConfig"] = tools
    return encode_json(body), dropped


def _tool_config(request: ModelRequest) -> dict[str, Json]:
    """Return what says which tools there are, empty where the model is to have none.

    The API cannot forbid a tool that it is told of, but it need not be told of any, unless the
    conversation has calls of one.
    """
    choice = request.tool_choice
    if not request.tools:
        return {}
    if choice is not None and choice.mode == "none":
        if any(message.tool_calls or message.role == "tool" for message in request.messages):
            raise unsupported(
                "tool_choice", "expected another mode than NONE, as the messages have tool calls"
            )
        return {}
    config: dict[str, Json] = {"tools": [{"toolSpec": _tool_spec(tool)} for tool in request.tools]}
    match choice:
        case ToolChoice(tool_name=str() as name):
            config["toolChoice"] = {"tool": {"name": name}}
        case ToolChoice(mode="required"):
            config["toolChoice"] = {"any": {}}
        case ToolChoice(mode="auto"):
            config["toolChoice"] = {"auto": {}}
    return config


def _tool_spec(tool: Tool) -> dict[str, Json]:
    schema: Json = {"type": "object", **(tool.parameters or {})}
    spec: dict[str, Json] = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return spec
