"""Requests in Google's Gemini dialect."""

from collections.abc import Sequence

from ....answers import ModelRequest
from ....json_codec import encode_json
from ....parameters import Json
from ....prompts import Tool, ToolChoice
from ...dialect import Quirks
from ...wire.conversation import no_conversation
from .contents import find_left_out, write_contents
from .parameters import write_parameters


def build_body(request: ModelRequest, quirks: Quirks) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    Raises MESSAGES_MISSING where only the system speaks, and PARAMETER_UNSUPPORTED for a parameter
    that the caller insists on and the dialect lacks, and for content that it cannot carry.
    """
    system, contents = write_contents(request.messages, request.model)
    if not contents:
        raise no_conversation()
    parameters, dropped = write_parameters(request, quirks)
    body: dict[str, Json] = {"contents": contents, **parameters}
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        choice = _function_calling(request.tools, request.tool_choice)
        if choice is not None:
            body["toolConfig"] = {"functionCallingConfig": choice}
    return encode_json(body), (*dropped, *find_left_out(request.messages))


def _declaration(tool: Tool) -> Json:
    wire: dict[str, Json] = {"name": tool.name}
    if tool.description:
        wire["description"] = tool.description
    if tool.parameters is not None:
        wire["parametersJsonSchema"] = dict(tool.parameters)
    return wire


def _function_calling(tools: Sequence[Tool], choice: ToolChoice | None) -> dict[str, Json] | None:
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
