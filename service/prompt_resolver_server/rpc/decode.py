"""The contract's requests, checked and turned into our values.

Raises `CallError` for whatever the contract forbids, with the field's path.
"""

import math
from collections.abc import Sequence

from google.protobuf import struct_pb2

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..answers import Credentials
from ..errors import CallError, Reason, Violation, invalid_request
from ..parameters import NO_PARAMETERS, Json, JsonSchema, Parameters, ResponseFormat, refusal
from ..prompts import (
    Media,
    MediaKind,
    Message,
    Part,
    PromptRef,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from ..resolver import Query
from .structs import MAX_VALUES, StructTooLargeError, to_dict

CompleteRequest = pb.CompleteRequest | pb.CompleteStreamRequest

# More of them fit into no model, and reading them would hold up other calls.
_MAX_PARTS = 10_000

_ROLES: dict[pb.Role.ValueType, Role] = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_DEVELOPER: "developer",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
}


def read_query(
    request: pb.ResolveRequest | CompleteRequest, *, credentials: Credentials, deadline: float
) -> Query:
    """Return what a request asks."""
    return Query(
        prompt=_prompt_ref(request.prompt),
        deadline=deadline,
        variables=_plain(request.variables, "variables"),
        model=_model(request.model) if request.HasField("model") else None,
        messages=_messages(request.messages) if request.messages else (),
        parameters=_parameters(request),
        refresh=request.refresh,
        alias=_name("alias", request.alias) if request.HasField("alias") else None,
        placeholders=frozenset(request.placeholders),
        tools=() if isinstance(request, pb.ResolveRequest) else _tools(request.tools),
        tool_choice=None if isinstance(request, pb.ResolveRequest) else _tool_choice(request),
        credentials=credentials,
    )


def _plain(struct: struct_pb2.Struct, path: str) -> dict[str, Json]:
    try:
        return to_dict(struct)
    except StructTooLargeError:
        reason = Reason.VARIABLES_INVALID if path == "variables" else Reason.REQUEST_INVALID
        raise CallError(
            reason,
            f"{path}: expected at most {MAX_VALUES} values",
            violations=(Violation(path, "too many values"),),
        ) from None


def _model(model: str) -> str:
    if not all(_name("model", model).split("/")):
        raise invalid_request("model", "expected <provider>/<model>, and none of its parts empty")
    return model


def _name(field: str, name: str) -> str:
    if not name:
        raise invalid_request(field, "expected a name, or to be left unset, got an empty one")
    return name


def _prompt_ref(ref: pb.PromptRef) -> PromptRef:
    selector = ref.WhichOneof("selector")
    if selector is not None and not getattr(ref, selector):
        raise CallError(
            Reason.SELECTOR_INVALID,
            f"prompt.{selector}: expected a name, or to be left unset, got an empty one",
            violations=(Violation(f"prompt.{selector}", "empty"),),
        )
    return PromptRef(
        id=ref.id,
        store=ref.store if ref.HasField("store") else None,
        version=ref.version if selector == "version" else None,
        environment=ref.environment if selector == "environment" else None,
    )


def _messages(messages: Sequence[pb.Message]) -> tuple[Message, ...]:
    parts = sum(len(message.content) + len(message.tool_calls) for message in messages[:_MAX_PARTS])
    if len(messages) + parts > _MAX_PARTS:
        raise invalid_request("messages", f"expected at most {_MAX_PARTS} messages and parts")
    return tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages))


def _message(message: pb.Message, path: str) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise invalid_request(f"{path}.role", "expected a role")
    if message.tool_calls and role != "assistant":
        raise invalid_request(
            f"{path}.tool_calls", "expected none, as only an assistant calls tools"
        )
    if bool(message.tool_call_id) != (role == "tool"):
        expected = "expected the call that is answered" if role == "tool" else "expected none"
        raise invalid_request(f"{path}.tool_call_id", expected)
    if not message.content and not message.tool_calls:
        raise invalid_request(f"{path}.content", "expected at least one part")
    return Message(
        role=role,
        content=tuple(
            _part(part, f"{path}.content[{i}]") for i, part in enumerate(message.content)
        ),
        name=message.name if message.HasField("name") else None,
        tool_calls=tuple(
            _tool_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls)
        ),
        tool_call_id=message.tool_call_id or None,
    )


def _part(part: pb.ContentPart, path: str) -> Part:
    match part.WhichOneof("part"):
        case "text":
            return Text(part.text)
        case "image":
            return _media(part.image, "image", f"{path}.image")
        case "audio":
            return _media(part.audio, "audio", f"{path}.audio")
        case "file":
            return _media(part.file, "file", f"{path}.file")
        case "reasoning":
            thought = part.reasoning
            return Reasoning(
                text=thought.text,
                signature=thought.signature if thought.HasField("signature") else None,
                redacted=thought.redacted if thought.HasField("redacted") else None,
            )
        case "refusal":
            return Refusal(part.refusal)
        case _:
            raise invalid_request(path, "expected a part")


def _media(media: pb.Media, kind: MediaKind, path: str) -> Media:
    source = media.WhichOneof("source")
    if source is None or not getattr(media, source):
        raise invalid_request(path, "expected a URL or data")
    if source == "data" and not media.media_type:
        raise invalid_request(f"{path}.media_type", "expected a media type with data")
    if source == "url" and not media.url.startswith(("http://", "https://", "data:")):
        raise invalid_request(f"{path}.url", "expected an http, https or data URL")
    return Media(
        kind=kind,
        url=media.url if source == "url" else None,
        data=media.data if source == "data" else None,
        media_type=media.media_type,
        detail=media.detail if media.HasField("detail") else None,
        filename=media.filename if media.HasField("filename") else None,
    )


def _tool_call(call: pb.ToolCall, path: str) -> ToolCall:
    if not call.id or not call.name:
        raise invalid_request(path, "expected an id and a name")
    return ToolCall(
        id=call.id,
        name=call.name,
        arguments_json=call.arguments_json,
        signature=call.signature if call.HasField("signature") else None,
    )


def _tools(tools: Sequence[pb.Tool]) -> tuple[Tool, ...]:
    if len(tools) > _MAX_PARTS:
        raise invalid_request("tools", f"expected at most {_MAX_PARTS} tools")
    read = []
    for index, tool in enumerate(tools):
        if not tool.name:
            raise invalid_request(f"tools[{index}].name", "expected a name")
        read.append(
            Tool(
                name=tool.name,
                description=tool.description,
                parameters=_plain(tool.parameters, f"tools[{index}].parameters")
                if tool.HasField("parameters")
                else None,
                strict=tool.strict if tool.HasField("strict") else None,
            )
        )
    return tuple(read)


def _tool_choice(request: CompleteRequest) -> ToolChoice | None:
    if not request.HasField("tool_choice"):
        return None
    choice = request.tool_choice
    if choice.WhichOneof("choice") == "tool_name" and choice.tool_name:
        return ToolChoice(tool_name=choice.tool_name)
    match choice.mode:
        case pb.ToolChoice.MODE_AUTO:
            return ToolChoice(mode="auto")
        case pb.ToolChoice.MODE_NONE:
            return ToolChoice(mode="none")
        case pb.ToolChoice.MODE_REQUIRED:
            return ToolChoice(mode="required")
        case _:
            raise invalid_request("tool_choice", "expected a mode or a tool's name")


def _parameters(request: pb.ResolveRequest | CompleteRequest) -> Parameters:
    if not request.HasField("parameters"):
        return NO_PARAMETERS
    wire = request.parameters
    max_tokens = wire.max_tokens if wire.HasField("max_tokens") and wire.max_tokens != -1 else None
    parameters = Parameters(
        temperature=wire.temperature if wire.HasField("temperature") else None,
        top_p=wire.top_p if wire.HasField("top_p") else None,
        max_tokens=max_tokens,
        stop=tuple(wire.stop),
        presence_penalty=wire.presence_penalty if wire.HasField("presence_penalty") else None,
        frequency_penalty=wire.frequency_penalty if wire.HasField("frequency_penalty") else None,
        seed=wire.seed if wire.HasField("seed") else None,
        reasoning_effort=wire.reasoning_effort if wire.HasField("reasoning_effort") else None,
        response_format=_response_format(wire),
        top_k=wire.top_k if wire.HasField("top_k") else None,
        parallel_tool_calls=(
            wire.parallel_tool_calls if wire.HasField("parallel_tool_calls") else None
        ),
        extra=_plain(wire.extra, "parameters.extra"),
    )
    _check_ranges(parameters)
    return parameters


def _check_ranges(parameters: Parameters) -> None:
    problems = [
        Violation(f"parameters.{name}", "expected a finite number")
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
        if (number := getattr(parameters, name)) is not None and not math.isfinite(number)
    ]
    if (temperature := parameters.temperature) is not None and temperature < 0:
        problems.append(Violation("parameters.temperature", "expected a number from 0"))
    if (top_p := parameters.top_p) is not None and not 0 <= top_p <= 1:
        problems.append(Violation("parameters.top_p", "expected a number from 0 to 1"))
    if (max_tokens := parameters.max_tokens) is not None and max_tokens < 1:
        problems.append(Violation("parameters.max_tokens", "expected a number from 1, or -1"))
    if (top_k := parameters.top_k) is not None and top_k < 1:
        problems.append(Violation("parameters.top_k", "expected a number from 1"))
    problems += [
        Violation(f"parameters.extra.{name}", f"refused, as it {problem}")
        for name in parameters.extra
        if (problem := refusal(name))
    ]
    if problems:
        raise CallError(
            Reason.PARAMETER_UNSUPPORTED,
            "; ".join(f"{each.field}: {each.description}" for each in problems),
            violations=tuple(problems),
        )


def _response_format(wire: pb.ModelParameters) -> ResponseFormat | None:
    if not wire.HasField("response_format"):
        return None
    path = "parameters.response_format"
    form = wire.response_format
    if form.HasField("json_schema") != (form.type == pb.ResponseFormat.TYPE_JSON_SCHEMA):
        raise invalid_request(
            f"{path}.json_schema", "expected with TYPE_JSON_SCHEMA, and only then"
        )
    match form.type:
        case pb.ResponseFormat.TYPE_TEXT:
            return ResponseFormat(type="text")
        case pb.ResponseFormat.TYPE_JSON_OBJECT:
            return ResponseFormat(type="json_object")
        case pb.ResponseFormat.TYPE_JSON_SCHEMA:
            schema = form.json_schema
            if not schema.name or not schema.HasField("schema"):
                raise invalid_request(f"{path}.json_schema", "expected a name and a schema")
            return ResponseFormat(
                type="json_schema",
                json_schema=JsonSchema(
                    name=schema.name,
                    schema=_plain(schema.schema, f"{path}.json_schema.schema"),
                    strict=schema.strict if schema.HasField("strict") else None,
                ),
            )
        case _:
            raise invalid_request(f"{path}.type", "expected a type")
