"""A prompt to be rendered, read from JSON, and the rendered one, written as JSON."""

from collections.abc import Mapping

import msgspec

from ...domain.errors import CallError, Reason, Violation
from ...domain.parameters import Json
from ...domain.prompts import (
    Media,
    Message,
    Part,
    PromptRef,
    Reasoning,
    Refusal,
    ResolvedPrompt,
    ServedTemplate,
    Text,
)
from ...domain.values import Value
from ...entry.caller import Caller
from ...resolving.resolver import Query
from ..fields import as_mapping, read_text

_UNSET: tuple[object, ...] = (None, "", (), {})


def read_query(document: Mapping[str, Json], caller: Caller) -> Query:
    """Return what is asked: `prompt_id`, `store`, `version`, `environment`, `alias`, `variables`.

    Raises `CallError`.
    """
    version, environment = read_text(document, "version"), read_text(document, "environment")
    if version is not None and environment is not None:
        expected = "expected a version or an environment, got both"
        raise CallError(
            Reason.SELECTOR_INVALID,
            f"version: {expected}",
            violations=(Violation("version", expected),),
        )
    variables = document.get("variables")
    return Query(
        prompt=PromptRef(
            id=read_text(document, "prompt_id") or "",
            store=read_text(document, "store"),
            version=version,
            environment=environment,
        ),
        alias=read_text(document, "alias"),
        variables=as_mapping(variables, "variables") if variables is not None else {},
        deadline=caller.deadline,
        credentials=caller.credentials,
        span=caller.span,
    )


def write_prompt(prompt: ResolvedPrompt) -> dict[str, Json]:
    """Return a rendered prompt in the words of the contract; of bytes it says how many they are."""
    return {
        "messages": [_message(message) for message in prompt.messages],
        "model": prompt.model,
        "provider": prompt.provider,
        "parameters": {
            name: _plain(getattr(prompt.parameters, name)) for name in prompt.parameters.names()
        },
        "tools": [_fields(tool) for tool in prompt.tools],
        "tool_choice": _fields(prompt.tool_choice) if prompt.tool_choice is not None else None,
        "prompt": _served(prompt.served) if prompt.served is not None else None,
    }


def _message(message: Message) -> Json:
    wire: dict[str, Json] = {
        "role": message.role,
        "content": [_part(part) for part in message.content],
    }
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [_fields(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _part(part: Part) -> Json:
    match part:
        case Text():
            return {"text": part.text}
        case Refusal():
            return {"refusal": part.text}
        case Reasoning():
            return {"reasoning": _fields(part)}
        case Media():
            fields = _fields(part)
            del fields["kind"]
            return {part.kind: fields}


def _fields(value: Value) -> dict[str, Json]:
    """Return the fields of a value that are set."""
    plain = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return {name: each for name, each in plain.items() if each not in _UNSET}


def _plain(value: object) -> Json:
    """Return what a field holds as plain data, and in the place of bytes their number."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    plain: Json = msgspec.to_builtins(value)
    return plain


def _served(served: ServedTemplate) -> Json:
    template = served.template
    return {
        "id": template.id,
        "name": template.name,
        "store": served.store,
        "version": template.version,
        "environment": template.environment,
        "content_sha256": template.content_sha256,
        "cache": served.cache,
        "age_s": served.age_s,
        "stale": served.stale,
        "reason": served.reason,
    }
