"""Requests, from what a caller says in Python."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypedDict, TypeVar

from google.protobuf import struct_pb2

from .chat.fields import as_mapping, read_number, to_struct
from .v1 import prompt_resolver_pb2 as pb

Variable: TypeAlias = "bool | float | str | Sequence[Variable] | Mapping[str, Variable] | None"

RESOLVE_TIMEOUT_S = 10.0
"""How long rendering a prompt may take that does not say."""
COMPLETE_TIMEOUT_S = 120.0
"""How long a completion may take that does not say."""
LONGEST_S = 365 * 86_400.0
"""The longest time that a call is given: gRPC takes what is much longer for no time at all."""

_Request = TypeVar("_Request", pb.CompleteRequest, pb.CompleteStreamRequest)


class ResolveOptions(TypedDict, total=False):
    """What may be said beside the prompt's id: the contract's fields of the same names.

    None is the same as saying nothing.
    """

    variables: Mapping[str, Variable] | struct_pb2.Struct | None
    """The values of the template's variables: text, numbers, booleans, lists and mappings."""
    version: str | None
    """Exactly this version; not together with `environment`."""
    environment: str | None
    """The version that is deployed to this environment."""
    store: str | None
    """The configured store, in place of the default one."""
    alias: str | None
    """A configured alias."""
    model: str | None
    """The model, as `<provider>/<model>`, in place of the template's."""
    messages: Sequence[pb.Message] | None
    """Messages that follow the template's."""
    message_policy: pb.MessagePolicy.ValueType | None
    """Whether they are used beside a template, such as `pb.MESSAGE_POLICY_IGNORE`."""
    placeholders: Mapping[str, pb.MessageList] | None
    """Messages for the template's placeholders, by their names."""
    parameters: pb.ModelParameters | None
    """Parameters that win over the template's."""
    refresh: bool | None
    """Whether to ask the store even if a fresh copy is held."""
    timeout_s: float | None
    """How long the call may take, in seconds; no longer than a year."""
    credentials: Mapping[str, str] | None
    """Keys of the caller's own, for this call: `{"x-provider-key-openai": …}`."""


class CompleteOptions(ResolveOptions, total=False):
    """What may be said beside the prompt's id when a model is to answer."""

    tools: Sequence[pb.Tool] | None
    """Tools that are added to the template's."""
    tool_choice: pb.ToolChoice | None
    """Which tool the model should call."""
    labels: Mapping[str, str] | None
    """Labels of the call for the server's log: the contract's `metadata`."""
    include_resolved: bool | None
    """Whether the answer should also carry the rendered prompt."""


def resolve_request(prompt_id: str, options: ResolveOptions) -> pb.ResolveRequest:
    """Return the request for a rendered prompt.

    Raises `TypeError` for an unknown option, and `TypeError` or `ValueError` with the place of a
    variable that cannot be sent as it is.
    """
    _check_names(options, ResolveOptions)
    return pb.ResolveRequest(
        prompt=_ref(prompt_id, options),
        variables=_variables(options.get("variables")),
        model=options.get("model"),
        messages=options.get("messages"),
        message_policy=options.get("message_policy") or pb.MESSAGE_POLICY_UNSPECIFIED,
        placeholders=options.get("placeholders"),
        parameters=options.get("parameters"),
        refresh=options.get("refresh") or False,
        alias=options.get("alias"),
    )


def complete_request(kind: type[_Request], prompt_id: str, options: CompleteOptions) -> _Request:
    """Return the request for an answer, whole or streamed; raises what `resolve_request` does."""
    _check_names(options, CompleteOptions)
    return kind(
        prompt=_ref(prompt_id, options),
        variables=_variables(options.get("variables")),
        model=options.get("model"),
        messages=options.get("messages"),
        message_policy=options.get("message_policy") or pb.MESSAGE_POLICY_UNSPECIFIED,
        placeholders=options.get("placeholders"),
        parameters=options.get("parameters"),
        refresh=options.get("refresh") or False,
        alias=options.get("alias"),
        tools=options.get("tools"),
        tool_choice=options.get("tool_choice"),
        metadata=options.get("labels"),
        include_resolved=options.get("include_resolved") or False,
    )


def find_timeout(options: Mapping[str, object], default_s: float) -> float:
    """Return how long a call may take, by what is said of it, or else by default."""
    timeout_s = read_number(options, "timeout_s")
    if timeout_s is not None and math.isnan(timeout_s):
        raise ValueError("timeout_s: expected a number, got nan")
    return default_s if timeout_s is None else min(LONGEST_S, timeout_s)


def _check_names(options: Mapping[str, object], known: type) -> None:
    """Refuse what would otherwise be lost in silence, where no type checker looked."""
    names = known.__annotations__ | ResolveOptions.__annotations__
    if unknown := options.keys() - names.keys():
        raise TypeError(f"unexpected option {min(unknown)!r}; expected some of {', '.join(names)}")


def _ref(prompt_id: str, options: ResolveOptions) -> pb.PromptRef:
    version, environment = options.get("version"), options.get("environment")
    if version is not None and environment is not None:
        raise ValueError("expected version or environment, got both")
    ref = pb.PromptRef(id=prompt_id, store=options.get("store"))
    if version is not None:
        ref.version = version
    if environment is not None:
        ref.environment = environment
    return ref


def _variables(
    values: Mapping[str, Variable] | struct_pb2.Struct | None,
) -> struct_pb2.Struct | None:
    if values is None or isinstance(values, struct_pb2.Struct):
        return values
    try:
        return to_struct(as_mapping(values, "variables"), "variables")
    except UnicodeEncodeError:
        # Its text is in the error.
        raise ValueError("variables: expected text that is Unicode, got a surrogate") from None
