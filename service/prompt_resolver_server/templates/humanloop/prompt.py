"""A prompt as Humanloop's API answers it, read into a template.

What tells which prompt it is, and the form of its messages, is the API's to get right: anything
else is `AnswerError`. Parameters and tools are its author's: there it is `FieldError`. Fields that
are not read here are tolerated, whatever they are.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from ...json_codec import JsonError, decode_json, encode_json, is_deeper
from ...parameters import Json, kind_of
from ...prompts import Media, Message, Part, PromptRef, Reasoning, Role, Template, Text, ToolCall
from ..formats.fields import Path, read_parameters, read_text, read_tools

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}

# What is served depends on these and on nothing else.
_CONTENT_FIELDS = (
    *("template", "template_language", "model", "provider", "endpoint", "max_tokens"),
    *("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "seed", "other"),
    *("response_format", "reasoning_effort"),
)
# What is nested further is no prompt of anybody's.
_MAX_LEVELS = 250
_TOOL_FIELDS = ("name", "description", "parameters", "strict")

_Item = TypeVar("_Item")


class AnswerError(Exception):
    """An answer that is none of this API's: where, and what was expected and came."""

    def __init__(self, path: Path, problem: str) -> None:
        place = ".".join(map(str, path))
        super().__init__(f"{place}: {problem}" if place else problem)


def read_document(body: bytes) -> Mapping[str, Json]:
    """Return a body that is a JSON object. Raises `AnswerError`."""
    try:
        value = decode_json(body)
    except JsonError:
        raise AnswerError((), "expected JSON") from None
    if not isinstance(value, dict):
        raise _expected((), "a JSON object", value)
    return value


def read_required(document: Mapping[str, Json], name: str) -> str:
    """Return a field that is text and not empty. Raises `AnswerError`."""
    value = document.get(name)
    if not isinstance(value, str):
        raise _expected((name,), "text", value)
    if not value:
        raise AnswerError((name,), "expected text, got an empty one")
    return value


def read_prompt(body: bytes, ref: PromptRef) -> Template:
    """Return the template of a PromptResponse that answers `ref`.

    Raises `AnswerError` and `FieldError`.
    """
    return read_template(read_document(body), ref, size=len(body))


def read_template(document: Mapping[str, Json], ref: PromptRef, *, size: int = 0) -> Template:
    """Return the template of a PromptResponse that answers `ref`; see `read_prompt`."""
    prompt_id = read_required(document, "id")
    version = read_required(document, "version_id")
    model = _needed_text(document, "model", ())
    if ref.version is not None and version != ref.version:
        raise AnswerError(("version_id",), "expected the version that was asked for")
    messages = _messages(document.get("template"))
    tools = read_tools(document.get("tools"), ("tools",))
    linked_tools = read_tools(document.get("linked_tools"), ("linked_tools",))
    return Template(
        id=prompt_id,
        name=_text(document, "name") or ref.id.rpartition("/")[2],
        version=version,
        environment=_environment(document, ref),
        content_sha256=_digest(document),
        location=_text(document, "path") or ref.id,
        size=size,
        language=read_text(document, "template_language") or "default",
        messages=messages,
        model=model or None,
        provider=read_text(document, "provider"),
        parameters=read_parameters(document),
        tools=tools + linked_tools,
        as_text=isinstance(document.get("template"), str),
        created_at=read_moment(document, "created_at"),
    )


def read_moment(document: Mapping[str, Json], name: str) -> datetime | None:
    """Return a field that is a moment, in UTC unless it says otherwise; None for anything else."""
    try:
        moment = datetime.fromisoformat(_text(document, name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _environment(document: Mapping[str, Json], ref: PromptRef) -> str:
    """Return the environment that the answer is deployed to, as far as it was asked by one."""
    if ref.environment is not None:
        return ref.environment
    listed = document.get("environments")
    if ref.version is not None or not isinstance(listed, list):
        return ""
    for item in listed:
        if isinstance(item, dict) and item.get("tag") == "default":
            return _text(item, "name")
    return ""


def _digest(document: Mapping[str, Json]) -> str:
    """Return the hash of what is served. A linked tool may change while the version does not."""
    content: dict[str, Json] = {
        name: value for name in _CONTENT_FIELDS if (value := document.get(name)) is not None
    }
    for name in ("tools", "linked_tools"):
        tools = document.get(name)
        if isinstance(tools, list) and tools:
            content[name] = [_bare_tool(tool) for tool in tools if isinstance(tool, dict)]
    if is_deeper(content, _MAX_LEVELS):
        raise AnswerError((), "expected less nesting")
    return hashlib.sha256(encode_json(content, sort=True)).hexdigest()


def _bare_tool(tool: Mapping[str, Json]) -> Json:
    return {name: value for name in _TOOL_FIELDS if (value := tool.get(name)) is not None}


def _messages(template: Json) -> tuple[Message, ...]:
    match template:
        case None:
            return ()
        case str():
            # As a completion prompt of a file is read.
            return (Message(role="user", content=(Text(template),)),) if template.strip() else ()
        case dict():
            return (_message(template, ("template",)),)
        case list():
            return tuple(_message(item, ("template", index)) for index, item in enumerate(template))
        case _:
            raise _expected(("template",), "text or a list of messages", template)


def _message(value: Json, path: Path) -> Message:
    if not isinstance(value, dict):
        raise _expected(path, "a message", value)
    role = value.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise AnswerError((*path, "role"), f"expected one of {', '.join(_ROLES)}")
    return Message(
        role=_ROLES[role],
        content=(
            *_each(value, "thinking", path, _thought),
            *_content(value.get("content"), (*path, "content")),
        ),
        name=_optional_text(value, "name", path) or None,
        tool_calls=_each(value, "tool_calls", path, _tool_call),
        tool_call_id=_optional_text(value, "tool_call_id", path),
    )


def _content(value: Json, path: Path) -> tuple[Part, ...]:
    match value:
        case None:
            return ()
        case str():
            return (Text(value),)
        case list():
            return tuple(_part(item, (*path, index)) for index, item in enumerate(value))
        case _:
            raise _expected(path, "text or a list of parts", value)


def _part(value: Json, path: Path) -> Part:
    part = _mapping(value, path)
    match part.get("type"):
        case "text":
            return Text(_needed_text(part, "text", path))
        case "image_url":
            path = (*path, "image_url")
            image = _mapping(part.get("image_url"), path)
            return Media(
                kind="image",
                url=_needed_text(image, "url", path),
                detail=_optional_text(image, "detail", path) or None,
            )
        case _:
            raise AnswerError((*path, "type"), "expected text or image_url")


def _thought(value: Json, path: Path) -> Reasoning:
    item = _mapping(value, path)
    match item.get("type"):
        case "thinking":
            signature = _optional_text(item, "signature", path)
            return Reasoning(
                text=_needed_text(item, "thinking", path),
                signature=signature.encode() if signature else None,
            )
        case "redacted_thinking":
            return Reasoning(redacted=_needed_text(item, "data", path).encode())
        case _:
            raise AnswerError((*path, "type"), "expected thinking or redacted_thinking")


def _tool_call(value: Json, path: Path) -> ToolCall:
    call = _mapping(value, path)
    place: Path = (*path, "function")
    function = _mapping(call.get("function"), place)
    return ToolCall(
        id=_needed_text(call, "id", path),
        name=_needed_text(function, "name", place),
        arguments_json=_optional_text(function, "arguments", place) or "{}",
    )


def _each(
    value: Mapping[str, Json], name: str, path: Path, read: Callable[[Json, Path], _Item]
) -> tuple[_Item, ...]:
    """Read each item of a list that may be missing."""
    items, path = value.get(name), (*path, name)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise _expected(path, "a list", items)
    return tuple(read(item, (*path, index)) for index, item in enumerate(items))


def _mapping(value: Json, path: Path) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _expected(path, "a mapping", value)
    return value


def _needed_text(value: Mapping[str, Json], name: str, path: Path) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise _expected((*path, name), "text", text)
    return text


def _optional_text(value: Mapping[str, Json], name: str, path: Path) -> str | None:
    return None if value.get(name) is None else _needed_text(value, name, path)


def _text(value: Mapping[str, Json], name: str) -> str:
    """Return a field that is for display: empty where it is not text."""
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _expected(path: Path, expected: str, came: Json) -> AnswerError:
    return AnswerError(path, f"expected {expected}, got {kind_of(came)}")
