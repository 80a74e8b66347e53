"""Requests in Ollama's chat dialect."""

from ....domain.answers import ModelRequest
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
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
    dropped += find_left_out(request.messages, "name", "detail", names_tools=True)
    body: dict[str, Json] = {
        **parameters,
        "model": request.model,
        "messages": write_messages(request.messages),
        # Where it is missing, the server streams.
        "stream": stream,
    }
    if request.tools:
        dropped += _add_tools(body, request)
    return encode_json(body), dropped


def _add_tools(body: dict[str, Json], request: ModelRequest) -> tuple[str, ...]:
    """Add the tools. Return what is left out of them, and of the choice among them.

    There is no such choice: what must not be called is not told of.
    """
    choice = request.tool_choice
    if choice is None or choice.mode != "none":
        body["tools"] = [write_function(tool) for tool in request.tools]
    lacking = {
        "tool_choice": choice is not None and choice.mode not in ("auto", "none"),
        "strict": any(tool.strict for tool in request.tools),
    }
    dropped = tuple(name for name, is_lacking in lacking.items() if is_lacking)
    check_insisted(dropped, request.insisted)
    return dropped
