"""Requests in Bedrock's Converse dialect."""

from collections.abc import Collection, Sequence

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Message, Tool, ToolChoice
from ...dialect import Quirks
from ...wire.left_out import find_left_out
from ...wire.thinking import begin_without_thought
from ...wire.unsupported import check_insisted
from .messages import write_messages
from .model import is_anthropic
from .parameters import thinks, write_parameters


def build_body(request: ModelRequest, quirks: Quirks) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of the parameters that it leaves out.

    Raises MESSAGES_MISSING where only the system speaks, and PARAMETER_UNSUPPORTED for what must be
    sent and the dialect lacks, for numbers of tokens that contradict each other, and for content
    that the dialect cannot carry.
    """
    system, turns = write_messages(request.messages)
    thought = tuple[str, ...]()
    if is_anthropic(request.model):
        request, thought = begin_without_thought(request)
    parameters, dropped = write_parameters(request, quirks)
    dropped += thought + find_left_out(request.messages, "name", "detail")
    body: dict[str, Json] = {**parameters, "messages": turns}
    if system:
        body["system"] = system
    dropped += _add_tools(body, request)
    return encode_json(body), dropped


def _add_tools(body: dict[str, Json], request: ModelRequest) -> tuple[str, ...]:
    """Add the tools, and the choice among them. Return what is left out of it.

    The API cannot forbid tools that it is told of, but it need not be told of any, unless the
    conversation has calls of them: where the request has no tools any more, of those by name.
    """
    choice, dropped = request.tool_choice, tuple[str, ...]()
    called = _find_called(request.messages)
    if not called and choice is not None and choice.mode == "none":
        return ()
    if not request.tools:
        if called:
            body["toolConfig"] = {
                "tools": [{"toolSpec": _tool(Tool(name=name))} for name in called]
            }
        return ()
    if choice is not None and _has_no_place(choice, request):
        choice, dropped = None, ("tool_choice",)
        check_insisted(dropped, request.insisted)
    config: dict[str, Json] = {"tools": [{"toolSpec": _tool(tool)} for tool in request.tools]}
    match choice:
        case ToolChoice(tool_name=str() as name):
            config["toolChoice"] = {"tool": {"name": name}}
        case ToolChoice(mode="required"):
            config["toolChoice"] = {"any": {}}
        case ToolChoice(mode="auto"):
            config["toolChoice"] = {"auto": {}}
    body["toolConfig"] = config
    return dropped


def _find_called(messages: Sequence[Message]) -> Collection[str]:
    """Return the names of the tools that were called."""
    return dict.fromkeys(call.name for message in messages for call in message.tool_calls)


def _has_no_place(choice: ToolChoice, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express a choice: nothing makes who thinks call a tool."""
    return choice.mode == "none" or (choice.mode != "auto" and thinks(request))


def _tool(tool: Tool) -> dict[str, Json]:
    schema: Json = {"type": "object", **(tool.parameters or {})}
    spec: dict[str, Json] = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return spec
