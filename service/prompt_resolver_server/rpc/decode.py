"""The contract's requests, checked and turned into our values.

Raises `CallError` for whatever the contract forbids, with the field's path.
"""

from collections.abc import Sequence

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.answers import Credentials
from ..domain.errors import CallError, Reason, Violation, invalid_request
from ..domain.parameters import NO_PARAMETERS
from ..domain.prompts import (
    MAX_PARTS,
    Media,
    MediaKind,
    Message,
    MessagePolicy,
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
from ..resolving.resolver import Query
from ..tracing import NO_SPAN, CallSpan
from .decode_parameters import read_parameters
from .structs import StructReader

CompleteRequest = pb.CompleteRequest | pb.CompleteStreamRequest

_ROLES: dict[pb.Role.ValueType, Role] = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_DEVELOPER: "developer",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
}
_MESSAGE_POLICIES: dict[pb.MessagePolicy.ValueType, MessagePolicy] = {
    pb.MESSAGE_POLICY_UNSPECIFIED: "append",
    pb.MESSAGE_POLICY_APPEND: "append",
    pb.MESSAGE_POLICY_WITHOUT_USER_TURN: "without_user_turn",
    pb.MESSAGE_POLICY_IGNORE: "ignore",
}


def read_query(
    request: pb.ResolveRequest | CompleteRequest,
    *,
    credentials: Credentials,
    deadline: float,
    span: CallSpan = NO_SPAN,
) -> Query:
    """Return what a request asks."""
    completion = None if isinstance(request, pb.ResolveRequest) else request
    if request.messages or request.placeholders:
        _check_size(request)
    reader = StructReader()
    return Query(
        prompt=read_ref(request.prompt, "prompt"),
        deadline=deadline,
        variables=reader.read(
            request.variables, "variables", Reason.VARIABLES_INVALID, by_name=True
        ),
        model=_model(request.model) if request.HasField("model") else None,
        messages=_messages(request.messages) if request.messages else (),
        message_policy=_message_policy(request.message_policy)
        if request.message_policy
        else "append",
        parameters=(
            read_parameters(request.parameters) if request.HasField("parameters") else NO_PARAMETERS
        ),
        refresh=request.refresh,
        alias=_name("alias", request.alias) if request.HasField("alias") else None,
        placeholders=_placeholders(request) if request.placeholders else {},
        tools=_tools(completion.tools, reader) if completion and completion.tools else (),
        tool_choice=(
            _tool_choice(completion.tool_choice)
            if completion and completion.HasField("tool_choice")
            else None
        ),
        credentials=credentials,
        span=span,
    )


def _model(model: str) -> str:
    if not all(model.split("/")):
        _name("model", model)
        raise invalid_request("model", "expected <provider>/<model>, and none of its parts empty")
    return model


def _name(field: str, name: str) -> str:
    if not name:
        raise invalid_request(field, "expected a name, or to be left unset, got an empty one")
    return name


def read_ref(ref: pb.PromptRef, path: str) -> PromptRef:
    """Return the reference at a path. Raises SELECTOR_INVALID."""
    selector = ref.WhichOneof("selector")
    if selector is not None and not getattr(ref, selector):
        raise CallError(
            Reason.SELECTOR_INVALID,
            f"{path}.{selector}: expected a name, or to be left unset, got an empty one",
            violations=(Violation(f"{path}.{selector}", "empty"),),
        )
    return PromptRef(
        id=ref.id,
        store=ref.store if ref.HasField("store") else None,
        version=ref.version if selector == "version" else None,
        environment=ref.environment if selector == "environment" else None,
    )


def _message_policy(value: pb.MessagePolicy.ValueType) -> MessagePolicy:
    policy = _MESSAGE_POLICIES.get(value)
    if policy is None:
        raise invalid_request("message_policy", "expected a policy")
    return policy


def _placeholders(
    request: pb.ResolveRequest | CompleteRequest,
) -> dict[str, tuple[Message, ...]]:
    return {
        name: _messages(given.messages, f"placeholders.{name}.messages")
        for name, given in request.placeholders.items()
    }


def _check_size(request: pb.ResolveRequest | CompleteRequest) -> None:
    """Raise REQUEST_INVALID for more messages and parts, or placeholders, than may be together."""
    left = MAX_PARTS - len(request.placeholders)
    if left < 0:
        raise invalid_request("placeholders", f"expected at most {MAX_PARTS}")
    lists = {"messages": request.messages}
    for name, given in request.placeholders.items():
        lists[f"placeholders.{name}.messages"] = given.messages
    for path, messages in lists.items():
        left -= len(messages)
        if left >= 0:
            left -= sum(len(message.content) + len(message.tool_calls) for message in messages)
        if left < 0:
            raise invalid_request(path, f"expected at most {MAX_PARTS} messages and parts")


def _messages(messages: Sequence[pb.Message], path: str = "messages") -> tuple[Message, ...]:
    return tuple(_message(message, f"{path}[{i}]") for i, message in enumerate(messages))


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
    # An assistant may have said nothing at all, and is quoted with that.
    if not message.content and role != "assistant":
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


def _tools(tools: Sequence[pb.Tool], reader: StructReader) -> tuple[Tool, ...]:
    if len(tools) > MAX_PARTS:
        raise invalid_request("tools", f"expected at most {MAX_PARTS} tools")
    read = []
    for index, tool in enumerate(tools):
        if not tool.name:
            raise invalid_request(f"tools[{index}].name", "expected a name")
        read.append(
            Tool(
                name=tool.name,
                description=tool.description,
                parameters=reader.read(tool.parameters, f"tools[{index}].parameters")
                if tool.HasField("parameters")
                else None,
                strict=tool.strict if tool.HasField("strict") else None,
            )
        )
    return tuple(read)


def _tool_choice(choice: pb.ToolChoice) -> ToolChoice:
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
