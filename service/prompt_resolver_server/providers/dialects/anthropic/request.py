"""Requests in Anthropic's Messages dialect."""

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Tool, ToolChoice
from ...dialect import Quirks
from ...wire.left_out import find_left_out
from ...wire.thinking import begin_without_thought
from ...wire.unsupported import check_insisted
from .messages import write_messages
from .parameters import thinks, write_parameters


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of the parameters that it leaves out.

    Raises MESSAGES_MISSING where only the system speaks, and PARAMETER_UNSUPPORTED for what must be
    sent and the dialect lacks, for numbers of tokens that contradict each other, and for content
    that the dialect cannot carry.
    """
    system, turns = write_messages(request.messages)
    request, thought = begin_without_thought(request)
    parameters, dropped = write_parameters(request, quirks)
    dropped += thought + find_left_out(request.messages, "name", "detail")
    body: dict[str, Json] = {**parameters, "model": request.model, "messages": turns}
    if system:
        body["system"] = system
    if request.tools:
        dropped += _add_tools(body, request)
    if stream:
        body["stream"] = True
    return encode_json(body), dropped


def _add_tools(body: dict[str, Json], request: ModelRequest) -> tuple[str, ...]:
    """Add the tools, and the choice among them. Return what is left out of it."""
    body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    dropped: tuple[str, ...] = ()
    if choice is not None and choice.mode not in ("auto", "none") and thinks(request.parameters):
        # Nothing makes a model call a tool that thinks first.
        dropped = ("tool_choice",)
        check_insisted(dropped, request.insisted)
        choice = None
    wire = _tool_choice(choice, request.parameters.parallel_tool_calls)
    if wire is not None:
        body["tool_choice"] = wire
    return dropped


def _tool(tool: Tool) -> Json:
    wire: dict[str, Json] = {
        "name": tool.name,
        "input_schema": {"type": "object", **(tool.parameters or {})},
    }
    if tool.description:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire


def _tool_choice(choice: ToolChoice | None, parallel: bool | None) -> Json:
    wire: dict[str, Json]
    match choice:
        case None if parallel is not False:
            return None
        case None | ToolChoice(mode="auto"):
            wire = {"type": "auto"}
        case ToolChoice(tool_name=str() as name):
            wire = {"type": "tool", "name": name}
        case ToolChoice(mode="required"):
            wire = {"type": "any"}
        case _:
            return {"type": "none"}
    if parallel is False:
        wire["disable_parallel_tool_use"] = True
    return wire
