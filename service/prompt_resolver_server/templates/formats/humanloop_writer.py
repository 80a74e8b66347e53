"""Writes Humanloop's `.prompt` files, for as much as they can say of a template."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ...domain.parameters import NO_PARAMETERS, Json, Parameters
from ...domain.prompts import Media, Message, Part, Template, Text, Tool, ToolCall
from .fields import PLACED_IN_OTHER
from .files import parse_prompt_file
from .prompt_file import PromptFile, PromptFileError

_LANGUAGES = ("default", "jinja")
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
# What YAML takes for something else than text.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_INDENT = "  "


class _UnwritableError(Exception):
    """A template of which the format cannot say everything."""


def write_prompt_file(template: Template) -> bytes | None:
    """Return a file that says all of a template; None where the format cannot.

    It has been read back: its reader makes the same of it. What a file's place tells, its id, name
    and version, is not in it.
    """
    if (
        template.language not in _LANGUAGES
        or template.placeholders
        or template.tool_choice is not None
        or template.schema is not None
        or template.defaults
        or template.partials
        or template.snippets
    ):
        return None
    try:
        lines = ["---", *_header(template), "---", "", *_body(template), ""]
        content = "\n".join(lines).encode()
        return content if _says(parse_prompt_file(content), template) else None
    except (_UnwritableError, PromptFileError, UnicodeEncodeError):
        return None


def _says(file: PromptFile, template: Template) -> bool:
    return (
        (file.model, file.provider) == (template.model, template.provider)
        and (file.language, file.as_text) == (template.language, template.as_text)
        and file.parameters == template.parameters
        and file.tools == template.tools
        and file.messages == template.messages
    )


def _header(template: Template) -> Iterator[str]:
    endpoint = "complete" if template.as_text else "chat"
    language = None if template.language == _LANGUAGES[0] else template.language
    fields: dict[str, Json] = {
        "model": template.model,
        **_parameters(template.parameters),
        "provider": template.provider,
        "endpoint": endpoint,
        "template_language": language,
    }
    for name, value in fields.items():
        if value is not None:
            yield f"{name}: {_write(value)}"
    if template.tools:
        # As Humanloop writes it: a list in JSON's notation.
        tools: list[Json] = [_tool(tool) for tool in template.tools]
        yield f"tools: {json.dumps(tools, ensure_ascii=False, indent=2)}"


def _parameters(parameters: Parameters) -> dict[str, Json]:
    if parameters == NO_PARAMETERS:
        return {}
    fields: dict[str, Any] = msgspec.to_builtins(parameters)
    stop, extra = fields.pop("stop"), fields.pop("extra")
    if (name := fields.pop("limit_name")) != "max_tokens":
        extra = {name: fields.pop("max_tokens"), **extra}
    placed = {name: fields.pop(name) for name in PLACED_IN_OTHER}
    extra = {name: value for name, value in placed.items() if value is not None} | extra
    form = fields["response_format"]
    if form is not None:
        fields["response_format"] = {name: each for name, each in form.items() if each is not None}
    if stop:
        fields["stop"] = list(stop)
    if extra:
        fields["other"] = extra
    return fields


def _tool(tool: Tool) -> Json:
    fields: dict[str, Json] = {
        "name": tool.name,
        "description": tool.description or None,
        "parameters": None if tool.parameters is None else dict(tool.parameters),
        "strict": tool.strict,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _write(value: Json) -> str:
    match value:
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        case float():
            # Without a dot, YAML 1.1 takes an exponent for text.
            number = repr(value)
            return number.replace("e", ".0e") if "e" in number and "." not in number else number
        case _:
            return json.dumps(value, ensure_ascii=False)


def _body(template: Template) -> Iterator[str]:
    if not template.as_text:
        for index, message in enumerate(template.messages):
            if index:
                yield ""
            yield from _block(message)
        return
    for message in template.messages:
        yield message.text


def _block(message: Message) -> Iterator[str]:
    attributes = ""
    if message.role == "tool":
        attributes = _attribute("name", message.name) + _attribute("id", message.tool_call_id)
    yield f"<{message.role}{attributes}>"
    match message:
        case Message(content=(Text() as only,), tool_calls=()):
            yield from _indented(only.text, _INDENT)
        case _:
            for part in message.content:
                yield from _part(part)
            for call in message.tool_calls:
                yield from _tool_call(call)
    yield f"</{message.role}>"


def _part(part: Part) -> Iterator[str]:
    match part:
        case Text():
            yield f"{_INDENT}<text>"
            yield from _indented(part.text, 2 * _INDENT)
            yield f"{_INDENT}</text>"
        case Media(kind="image", url=str() as url):
            yield f"{_INDENT}<image{_attribute('url', url)}{_attribute('detail', part.detail)} />"
        case _:
            raise _UnwritableError


def _tool_call(call: ToolCall) -> Iterator[str]:
    yield f"{_INDENT}<tool{_attribute('name', call.name)}{_attribute('id', call.id)}>"
    yield from _indented(call.arguments_json, 2 * _INDENT)
    yield f"{_INDENT}</tool>"


def _attribute(name: str, value: str | None) -> str:
    if value is None:
        return ""
    if '"' not in value:
        return f' {name}="{value}"'
    if "'" not in value:
        return f" {name}='{value}'"
    raise _UnwritableError


def _indented(text: str, indent: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield indent + line if line else ""
