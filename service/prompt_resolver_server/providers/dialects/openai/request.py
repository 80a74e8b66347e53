"""Requests in OpenAI's chat dialect."""

from ....answers import ModelRequest
from ....json_codec import encode_json
from ....parameters import Json, Parameters, ResponseFormat
from ....prompts import Tool, ToolChoice
from ...dialect import Quirks
from ...wire.unsupported import check_insisted
from .messages import write_message


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of the parameters that it leaves out.

    Raises PARAMETER_UNSUPPORTED for a parameter that must be sent and the provider lacks,
    and for content that the dialect cannot carry.
    """
    body: dict[str, Json] = {
        "model": _model(request.model, quirks),
        "messages": [
            write_message(message, f"messages[{index}]", quirks)
            for index, message in enumerate(request.messages)
        ],
    }
    if request.tools:
        body["tools"] = [write_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    dropped = _add_parameters(body, request, quirks)
    if stream:
        body["stream"] = True
        if "stream_options" not in quirks.lacks:
            body["stream_options"] = {"include_usage": True}
    return encode_json(body), dropped


def _model(model: str, quirks: Quirks) -> str:
    return model if "/" in model else quirks.model_prefix + model


def _add_parameters(
    body: dict[str, Json], request: ModelRequest, quirks: Quirks
) -> tuple[str, ...]:
    wire = write_parameters(request.parameters)
    lacking = [name for name in wire if _is_lacking(name, request, quirks)]
    check_insisted(lacking, request.insisted)
    for name, value in wire.items():
        if name not in lacking:
            body[quirks.renames.get(name, name)] = value
    return tuple(lacking)


def _is_lacking(name: str, request: ModelRequest, quirks: Quirks) -> bool:
    """Tell whether the wire cannot express what the request means by a parameter."""
    parameters = request.parameters
    if name in quirks.lacks:
        return True
    renames = quirks.renames
    if name in parameters.extra:
        # Of two that have one name on the wire, the one with a field of its own counts.
        taken = {renames.get(typed, typed) for typed in parameters.names()}
        return renames.get(name, name) in taken
    match name:
        case "reasoning_effort":
            # A number is a budget of thinking tokens; the dialect knows words alone.
            return (parameters.reasoning_effort or "").lstrip("-").isdigit()
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type in quirks.lacks_forms
        case "parallel_tool_calls":
            return not request.tools
        case _:
            return False


def write_parameters(parameters: Parameters) -> dict[str, Json]:
    """Return the parameters that are set by their names on the wire."""
    wire: dict[str, Json] = dict(parameters.extra)
    for name in parameters.names():
        match getattr(parameters, name):
            case ResponseFormat() as form:
                wire[name] = _response_format(form)
            case tuple() as texts:
                wire[name] = list(texts)
            case value if name != "extra":
                wire[name] = value
    return wire


def _response_format(form: ResponseFormat) -> Json:
    if form.json_schema is None:
        return {"type": form.type}
    schema: dict[str, Json] = {
        "name": form.json_schema.name,
        "schema": dict(form.json_schema.schema),
    }
    if form.json_schema.strict is not None:
        schema["strict"] = form.json_schema.strict
    return {"type": form.type, "json_schema": schema}


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
