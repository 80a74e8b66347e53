"""Requests in Cohere's chat dialect."""

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import ToolChoice
from ...dialect import Quirks
from ...wire.functions import write_function
from ...wire.left_out import find_left_out
from ...wire.unsupported import check_insisted
from .messages import write_messages
from .parameters import write_parameters


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of what it leaves out.

    Raises PARAMETER_UNSUPPORTED for what must be sent and the dialect lacks, and for content that
    it cannot carry.
    """
    parameters, dropped = write_parameters(request, quirks)
    dropped += find_left_out(request.messages, "name")
    body: dict[str, Json] = {
        **parameters,
        "model": request.model,
        "messages": write_messages(request.messages),
        "stream": stream,
    }
    if request.tools:
        dropped += _add_tools(body, request)
    return encode_json(body), dropped


def _add_tools(body: dict[str, Json], request: ModelRequest) -> tuple[str, ...]:
    """Add the tools, and the choice among them. Return what is left out of it."""
    body["tools"] = [write_function(tool) for tool in request.tools]
    if any(tool.strict for tool in request.tools):
        body["strict_tools"] = True
    dropped: tuple[str, ...] = ()
    match request.tool_choice:
        case ToolChoice(mode="required" | "none" as mode):
            body["tool_choice"] = mode.upper()
        case ToolChoice(tool_name=str()):
            dropped = ("tool_choice",)
            check_insisted(dropped, request.insisted)
    return dropped
