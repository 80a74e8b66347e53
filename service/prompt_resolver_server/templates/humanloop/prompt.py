"""A prompt as Humanloop's API answers it, read into a template.

What tells which prompt it is, and the form of its messages, is the API's to get right: anything
else is `AnswerError`. Parameters and tools are its author's: there it is `FieldError`. Fields that
are not read here are tolerated, whatever they are.
"""

from collections.abc import Mapping, Sequence

from ...domain.parameters import Json
from ...domain.prompts import Message, Placeholder, PromptRef, Template, Text
from ..formats.answers import (
    AnswerError,
    digest,
    read_document,
    read_moment,
    read_required,
    read_shown,
    read_text,
    unexpected,
)
from ..formats.fields import Path, read_prompt_parameters, read_tools
from ..formats.fields import read_text as read_field
from ..formats.openai_messages import read_message
from .extension import EXTENSION, PLACEHOLDER, read_extension

ID_PREFIX = "pr_"
"""What the ids of prompts begin with, and paths may, too."""

# What is served depends on these and on nothing else.
_CONTENT_FIELDS = (
    *("template", "template_language", "model", "provider", "endpoint", "max_tokens"),
    *("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "seed", "other"),
    *("response_format", "reasoning_effort", EXTENSION),
)
_TOOL_FIELDS = ("name", "description", "parameters", "strict")


def read_prompt(body: bytes, ref: PromptRef) -> Template:
    """Return the template of a PromptResponse that answers `ref`.

    Raises `AnswerError`, also for another prompt or version, and `FieldError`.
    """
    document = read_document(body)
    check_prompt(document, ref)
    return read_template(document, ref, size=len(body))


def check_prompt(document: Mapping[str, Json], ref: PromptRef) -> None:
    """Refuse the answer that is another prompt's than the one that an id names.

    How the API spells a path is its own affair. Raises `AnswerError`.
    """
    prompt_id, path = read_required(document, "id"), read_shown(document, "path")
    if ref.id.startswith(ID_PREFIX) and ref.id not in (prompt_id, path):
        raise AnswerError(("id",), "expected the prompt that was asked for")


def read_template(document: Mapping[str, Json], ref: PromptRef, *, size: int = 0) -> Template:
    """Return the template of a PromptResponse, whichever prompt's it is; see `read_prompt`."""
    prompt_id = read_required(document, "id")
    version = read_required(document, "version_id")
    model = read_text(document, "model")
    if ref.version is not None and version != ref.version:
        raise AnswerError(("version_id",), "expected the version that was asked for")
    messages, placeholders = _read_content(document.get("template"))
    tools = read_tools(document.get("tools"), ("tools",))
    linked_tools = read_tools(document.get("linked_tools"), ("linked_tools",))
    return Template(
        id=prompt_id,
        name=read_shown(document, "name") or ref.id.rpartition("/")[2],
        version=version,
        environment=_environment(document, ref),
        content_sha256=_digest(document),
        location=read_shown(document, "path") or ref.id,
        size=size,
        language=read_field(document, "template_language") or "default",
        messages=messages,
        placeholders=placeholders,
        model=model or None,
        provider=read_field(document, "provider"),
        parameters=read_prompt_parameters(document),
        tools=tools + linked_tools,
        as_text=isinstance(document.get("template"), str),
        created_at=read_moment(document, "created_at"),
        **read_extension(document).fields(),
    )


def _environment(document: Mapping[str, Json], ref: PromptRef) -> str:
    """Return the environment that the answer is deployed to, as far as it was asked by one."""
    if ref.environment is not None:
        return ref.environment
    listed = document.get("environments")
    if ref.version is not None or not isinstance(listed, list):
        return ""
    for item in listed:
        if isinstance(item, dict) and item.get("tag") == "default":
            return read_shown(item, "name")
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
    return digest(content)


def _bare_tool(tool: Mapping[str, Json]) -> Json:
    return {name: value for name in _TOOL_FIELDS if (value := tool.get(name)) is not None}


def _read_content(template: Json) -> tuple[tuple[Message, ...], tuple[Placeholder, ...]]:
    match template:
        case None:
            return (), ()
        case str():
            # As a completion prompt of a file is read.
            message = Message(role="user", content=(Text(template),))
            return (message,) if template.strip() else (), ()
        case dict():
            return (read_message(template, ("template",), thoughts="thinking"),), ()
        case list():
            return _read_messages(template)
        case _:
            raise unexpected(("template",), "text or a list of messages", template)


def _read_messages(
    items: Sequence[Json],
) -> tuple[tuple[Message, ...], tuple[Placeholder, ...]]:
    messages: list[Message] = []
    placeholders: list[Placeholder] = []
    for index, item in enumerate(items):
        path: Path = ("template", index)
        if isinstance(item, dict) and item.get("role") == PLACEHOLDER:
            name = read_required(item, "name", path)
            placeholders.append(Placeholder(name, len(messages)))
        else:
            messages.append(read_message(item, path, thoughts="thinking"))
    return tuple(messages), tuple(placeholders)
