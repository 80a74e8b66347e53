"""A prompt as Langfuse's API answers it, read into a template.

What tells which prompt it is, and the form of its texts, is the API's to get right: anything else
is `AnswerError`. Roles, and what `config` says of the model, are its author's: there it is
`FieldError`. `config` is free: model, parameters and tools are in it by custom, and whatever else
is in it is for the author's own programs, and reaches no provider.
"""

from collections.abc import Mapping
from typing import TypeAlias

from ...domain.parameters import Json
from ...domain.prompts import Message, Placeholder, PromptRef, Template, Text
from ..formats.answers import (
    AnswerError,
    as_list,
    as_mapping,
    digest,
    read_document,
    read_moment,
    read_required,
    read_text,
)
from ..formats.fields import FieldError, Path
from ..formats.fields import read_text as read_field
from ..formats.openai_messages import ROLES
from ..formats.openai_parameters import (
    PARAMETERS,
    inside,
    read_openai_parameters,
    read_openai_tool_choice,
    read_openai_tools,
)

DEFAULT_LABEL = "production"
"""The label of the version that is served without a selector."""

_Content: TypeAlias = tuple[tuple[Message, ...], tuple[Placeholder, ...]]

_REFERENCE = "@@@langfusePrompt:"
_CONFIG_FIELDS = PARAMETERS | {"model", "provider", "tools", "tool_choice"}


def read_prompt(body: bytes, ref: PromptRef) -> Template:
    """Return the template of a prompt that answers `ref`. Raises `AnswerError` and `FieldError`."""
    document = read_document(body)
    version, label = _read_version(document, ref)
    config = _read_config(document.get("config"))
    kind = read_text(document, "type")
    if kind not in ("text", "chat"):
        raise AnswerError(("type",), "expected text or chat")
    messages, placeholders = _read_text(document) if kind == "text" else _read_chat(document)
    with inside("config"):
        return Template(
            id=ref.id,
            name=ref.id.rpartition("/")[2],
            version=version,
            environment=label,
            content_sha256=digest(
                {
                    "type": kind,
                    "messages": [[message.role, message.text] for message in messages],
                    "placeholders": [[each.name, each.position] for each in placeholders],
                    "config": dict(config),
                }
            ),
            location=ref.id,
            size=len(body),
            language="langfuse",
            messages=messages,
            placeholders=placeholders,
            model=read_field(config, "model"),
            provider=read_field(config, "provider"),
            parameters=read_openai_parameters(config),
            tools=read_openai_tools(config.get("tools"), ("tools",)),
            tool_choice=read_openai_tool_choice(config.get("tool_choice"), ("tool_choice",)),
            as_text=kind == "text",
            created_at=read_moment(document, "createdAt"),
        )


def _read_version(document: Mapping[str, Json], ref: PromptRef) -> tuple[str, str]:
    """Return the version, and the label that it was found by, if both are what was asked for."""
    if read_required(document, "name") != ref.id:
        raise AnswerError(("name",), "expected the prompt that was asked for")
    version = document.get("version")
    if type(version) is not int:
        raise AnswerError(("version",), "expected a whole number")
    if ref.version is not None:
        if str(version) != ref.version:
            raise AnswerError(("version",), "expected the version that was asked for")
        return ref.version, ""
    label = ref.environment or DEFAULT_LABEL
    if label not in as_list(document.get("labels"), ("labels",)):
        raise AnswerError(("labels",), "expected the label that was asked for among them")
    return str(version), label


def _read_config(value: Json) -> Mapping[str, Json]:
    """Return what custom gives a meaning; null counts as not set."""
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in _CONFIG_FIELDS & value.keys() if value[name] is not None}


def _read_text(document: Mapping[str, Json]) -> _Content:
    text = _resolved(read_text(document, "prompt"), ("prompt",))
    message = Message(role="user", content=(Text(text),))
    return (message,) if text.strip() else (), ()


def _read_chat(document: Mapping[str, Json]) -> _Content:
    messages: list[Message] = []
    placeholders: list[Placeholder] = []
    for index, value in enumerate(as_list(document.get("prompt"), ("prompt",))):
        path: Path = ("prompt", index)
        item = as_mapping(value, path)
        match item.get("type"):
            case "placeholder":
                name = read_required(item, "name", path)
                placeholders.append(Placeholder(name, len(messages)))
            case None | "chatmessage":
                messages.append(_read_message(item, path))
            case _:
                raise AnswerError((*path, "type"), "expected chatmessage or placeholder")
    return tuple(messages), tuple(placeholders)


def _read_message(item: Mapping[str, Json], path: Path) -> Message:
    name = read_text(item, "role", path)
    role = ROLES.get(name)
    if role is None:
        # Langfuse takes any text for a role.
        raise FieldError((*path, "role"), f"expected one of {', '.join(ROLES)}")
    text = _resolved(read_text(item, "content", path), (*path, "content"))
    return Message(role=role, content=(Text(text),))


def _resolved(text: str, path: Path) -> str:
    """Return a text that refers to no other prompt, as Langfuse puts their texts in by itself."""
    if _REFERENCE in text:
        raise FieldError(path, "expected no reference to a prompt that Langfuse has not resolved")
    return text
