"""Requests in OpenAI's chat dialect."""

import base64

from ....answers import ModelRequest
from ....errors import unsupported
from ....json_codec import encode_json
from ....parameters import Json, Parameters, ResponseFormat
from ....prompts import Media, Message, Part, Reasoning, Refusal, Text, Tool, ToolChoice
from ...dialect import Quirks
from ...wire.unsupported import check_insisted

_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_AS_OPENAI = Quirks(knows_developer=True)


def build_body(
    request: ModelRequest, *, stream: bool, quirks: Quirks
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body and the names of the parameters that it leaves out.

    Raises PARAMETER_UNSUPPORTED for a parameter that the caller insists on and the provider lacks,
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


def write_message(message: Message, path: str, quirks: Quirks = _AS_OPENAI) -> dict[str, Json]:
    """Return a message without its reasoning; `path` is for errors.

    Raises PARAMETER_UNSUPPORTED for content that the wire cannot carry.
    """
    role = message.role
    if role == "developer" and not quirks.knows_developer:
        role = "system"
    wire: dict[str, Json] = {"role": role, "content": _content(message, path, quirks)}
    if message.name:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _content(message: Message, path: str, quirks: Quirks) -> Json:
    """Write a message's content: as plain text where it is, which every server understands."""
    # The dialect has no place for reasoning: it is for the providers that signed it.
    parts = [part for part in message.content if not isinstance(part, Reasoning)]
    if not parts:
        return None if message.tool_calls else ""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    if quirks.one_text:
        if not all(isinstance(part, Text) for part in parts):
            raise unsupported(f"{path}.content", "expected text alone")
        return message.text
    return [_part(part, f"{path}.content[{index}]") for index, part in enumerate(parts)]


def _part(part: Part, path: str) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Media(kind="image"):
            image: dict[str, Json] = {"url": _url(part)}
            if part.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case Media(kind="audio", data=bytes() as sound):
            form = _AUDIO_FORMATS.get(part.media_type)
            if form is None:
                raise unsupported(path, "expected audio/wav or audio/mpeg")
            return {
                "type": "input_audio",
                "input_audio": {"data": base64.b64encode(sound).decode(), "format": form},
            }
        case Media(kind="file", data=bytes()):
            file: dict[str, Json] = {"file_data": _url(part)}
            if part.filename:
                file["filename"] = part.filename
            return {"type": "file", "file": file}
        case _:
            raise unsupported(path, "expected sounds and documents as data, not as URLs")


def _url(media: Media) -> str:
    if media.data is None:
        return media.url or ""
    return f"data:{media.media_type};base64,{base64.b64encode(media.data).decode()}"
