"""Tools as functions, in the form that several APIs have from OpenAI's."""

from ...domain.parameters import Json
from ...domain.prompts import Tool, ToolCall


def write_function(tool: Tool) -> Json:
    """Return a tool for an API that wants to be told of its parameters even if it has none."""
    function: dict[str, Json] = {
        "name": tool.name,
        "parameters": {"type": "object", "properties": {}, **(tool.parameters or {})},
    }
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def write_function_call(call: ToolCall) -> Json:
    """Return a call, whose arguments are text."""
    function: Json = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.id, "type": "function", "function": function}
