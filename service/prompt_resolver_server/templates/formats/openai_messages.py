"""Messages in the form of OpenAI's chat API, as services that serve prompts answer with them.

Their form is the API's to get right: anything else is `AnswerError`. Fields that are not read here
are tolerated, whatever they are.
"""

from collections.abc import Mapping

from ...domain.parameters import Json
from ...domain.prompts import Media, Message, Part, Reasoning, Role, Text, ToolCall
from .answers import (
    AnswerError,
    as_mapping,
    read_each,
    read_optional_text,
    read_text,
    unexpected,
)
from .fields import Path

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
"""The roles that a message may have, by their names on the wire."""


def read_message(value: Json, path: Path, *, thoughts: str) -> Message:
    """Return a message; `thoughts` names the field that has what a model thought.

    Raises `AnswerError`.
    """
    if not isinstance(value, dict):
        raise unexpected(path, "a message", value)
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise AnswerError((*path, "role"), f"expected one of {', '.join(ROLES)}")
    return Message(
        role=ROLES[role],
        content=(
            *read_each(value, thoughts, path, _thought),
            *_content(value.get("content"), (*path, "content")),
        ),
        name=read_optional_text(value, "name", path) or None,
        tool_calls=read_each(value, "tool_calls", path, _tool_call),
        tool_call_id=read_optional_text(value, "tool_call_id", path),
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
            raise unexpected(path, "text or a list of parts", value)


def _part(value: Json, path: Path) -> Part:
    part = as_mapping(value, path)
    match part.get("type"):
        case "text":
            return Text(read_text(part, "text", path))
        case "image_url":
            path = (*path, "image_url")
            image = as_mapping(part.get("image_url"), path)
            return Media(
                kind="image",
                url=read_text(image, "url", path),
                detail=read_optional_text(image, "detail", path) or None,
            )
        case _:
            raise AnswerError((*path, "type"), "expected text or image_url")


def _thought(value: Json, path: Path) -> Reasoning:
    item = as_mapping(value, path)
    match item.get("type"):
        case "thinking":
            signature = read_optional_text(item, "signature", path)
            return Reasoning(
                text=read_text(item, "thinking", path),
                signature=signature.encode() if signature else None,
            )
        case "redacted_thinking":
            return Reasoning(redacted=read_text(item, "data", path).encode())
        case _:
            raise AnswerError((*path, "type"), "expected thinking or redacted_thinking")


def _tool_call(value: Json, path: Path) -> ToolCall:
    call = as_mapping(value, path)
    place: Path = (*path, "function")
    function = as_mapping(call.get("function"), place)
    return ToolCall(
        id=read_text(call, "id", path),
        name=read_text(function, "name", place),
        arguments_json=read_optional_text(function, "arguments", place) or "{}",
    )
