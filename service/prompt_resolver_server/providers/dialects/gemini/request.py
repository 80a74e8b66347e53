"""Requests in Google's Gemini dialect."""

from collections.abc import Sequence

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Tool, ToolChoice
from ...dialect import Quirks
from ...wire.left_out import find_left_out
from .messages import write_messages
from .parameters import write_parameters


def build_body(request: ModelRequest, quirks: Quirks) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    Raises MESSAGES_MISSING where only the system speaks, and PARAMETER_UNSUPPORTED for a parameter
    that the caller insists on and the dialect lacks, and for content that it cannot carry.
    """
    system, turns = write_messages(request.messages, request.model)
    parameters, dropped = write_parameters(request, quirks)
    dropped += find_left_out(request.messages, "name", "detail", "filename", names_tools=True)
    body: dict[str, Json] = {**parameters, "contents": turns}
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        choice = _tool_choice(request.tools, request.tool_choice)
        if choice is not None:
            body["toolConfig"] = {"functionCallingConfig": choice}
    return encode_json(body), dropped


def _tool(tool: Tool) -> Json:
    wire: dict[str, Json] = {"name": tool.name}
    if tool.description:
        wire["description"] = tool.description
    if tool.parameters is not None:
        wire["parametersJsonSchema"] = dict(tool.parameters)
    return wire


def _tool_choice(tools: Sequence[Tool], choice: ToolChoice | None) -> dict[str, Json] | None:
    match choice:
        case ToolChoice(tool_name=str() as name):
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case ToolChoice(mode="required"):
            return {"mode": "ANY"}
        case ToolChoice(mode="none"):
            return {"mode": "NONE"}
        case _ if any(tool.strict for tool in tools):
            # The model is free to call none, and a call of it keeps to the schema.
            return {"mode": "VALIDATED"}
        case None:
            return None
        case _:
            return {"mode": "AUTO"}
