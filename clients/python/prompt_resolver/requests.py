"""Requests, from what a caller says in Python."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypedDict, TypeVar

from google.protobuf import struct_pb2

from .v1 import prompt_resolver_pb2 as pb

Variable: TypeAlias = "bool | float | str | Sequence[Variable] | Mapping[str, Variable] | None"

_Request = TypeVar("_Request", pb.CompleteRequest, pb.CompleteStreamRequest)


class ResolveOptions(TypedDict, total=False):
    """What may be said beside the prompt's id: the contract's fields of the same names."""

    variables: Mapping[str, Variable] | struct_pb2.Struct
    """The values of the template's variables: text, numbers, booleans, lists and mappings."""
    version: str
    """Exactly this version; not together with `environment`."""
    environment: str
    """The version that is deployed to this environment."""
    store: str
    """The configured store, in place of the default one."""
    alias: str
    """A configured alias."""
    model: str
    """The model, as `<provider>/<model>`, in place of the template's."""
    messages: Sequence[pb.Message]
    """Messages that follow the template's."""
    message_policy: pb.MessagePolicy.ValueType
    """Whether they are used beside a template, such as `pb.MESSAGE_POLICY_IGNORE`."""
    placeholders: Mapping[str, pb.MessageList]
    """Messages for the template's placeholders, by their names."""
    parameters: pb.ModelParameters
    """Parameters that win over the template's."""
    refresh: bool
    """Whether to ask the store even if a fresh copy is held."""
    timeout_s: float
    """How long the call may take, in seconds."""
    credentials: Mapping[str, str]
    """Keys of the caller's own, for this call: `{"x-provider-key-openai": …}`."""


class CompleteOptions(ResolveOptions, total=False):
    """What may be said beside the prompt's id when a model is to answer."""

    tools: Sequence[pb.Tool]
    """Tools that are added to the template's."""
    tool_choice: pb.ToolChoice
    """Which tool the model should call."""
    labels: Mapping[str, str]
    """Labels of the call for the server's log: the contract's `metadata`."""
    include_resolved: bool
    """Whether the answer should also carry the rendered prompt."""


def resolve_request(prompt_id: str, options: ResolveOptions) -> pb.ResolveRequest:
    """Return the request for a rendered prompt. Raises `TypeError` for an unknown option."""
    _check_names(options, ResolveOptions)
    return pb.ResolveRequest(
        prompt=_ref(prompt_id, options),
        variables=_struct(options.get("variables")),
        model=options.get("model"),
        messages=options.get("messages"),
        message_policy=options.get("message_policy", pb.MESSAGE_POLICY_UNSPECIFIED),
        placeholders=options.get("placeholders"),
        parameters=options.get("parameters"),
        refresh=options.get("refresh", False),
        alias=options.get("alias"),
    )


def complete_request(kind: type[_Request], prompt_id: str, options: CompleteOptions) -> _Request:
    """Return the request for an answer, whole or streamed; raises what `resolve_request` does."""
    _check_names(options, CompleteOptions)
    return kind(
        prompt=_ref(prompt_id, options),
        variables=_struct(options.get("variables")),
        model=options.get("model"),
        messages=options.get("messages"),
        message_policy=options.get("message_policy", pb.MESSAGE_POLICY_UNSPECIFIED),
        placeholders=options.get("placeholders"),
        parameters=options.get("parameters"),
        refresh=options.get("refresh", False),
        alias=options.get("alias"),
        tools=options.get("tools"),
        tool_choice=options.get("tool_choice"),
        metadata=options.get("labels"),
        include_resolved=options.get("include_resolved", False),
    )


def _check_names(options: Mapping[str, object], known: type) -> None:
    """Refuse what would otherwise be lost in silence, where no type checker looked."""
    names = known.__annotations__ | ResolveOptions.__annotations__
    if unknown := options.keys() - names.keys():
        raise TypeError(f"unexpected option {min(unknown)!r}; expected some of {', '.join(names)}")


def _ref(prompt_id: str, options: ResolveOptions) -> pb.PromptRef:
    if "version" in options and "environment" in options:
        raise ValueError("expected version or environment, got both")
    ref = pb.PromptRef(id=prompt_id, store=options.get("store"))
    if "version" in options:
        ref.version = options["version"]
    if "environment" in options:
        ref.environment = options["environment"]
    return ref


def _struct(
    values: Mapping[str, Variable] | struct_pb2.Struct | None,
) -> struct_pb2.Struct | None:
    if values is None or isinstance(values, struct_pb2.Struct):
        return values
    struct = struct_pb2.Struct()
    struct.update(dict(values))
    return struct
