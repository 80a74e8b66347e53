"""Humanloop's `.prompt` files: a YAML header of parameters, and a body of tagged blocks or of text.

    ---
    model: gpt-4o
    temperature: 0.3
    provider: openai
    endpoint: chat
    ---

    <system>
      You are the returns desk of {{shop_name}}.
    </system>

Structure is read before any variable is put in, so no value can become structure. Only a known tag
at the start of a line is structure; all other markup is text. What indents a whole block is taken
off it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...parameters import Json, Parameters
from ...prompts import Message, Text, Tool
from ...strict_yaml import Document, YamlError, parse
from .fields import FieldError, read_parameters, read_text, read_tools
from .humanloop_blocks import BlockError, read_blocks, starts_with_block, trim

MAX_BYTES = 1024 * 1024

# Reading YAML holds up the whole interpreter, a quarter of a second for a megabyte of brackets.
_MAX_HEADER_CHARACTERS = 128 * 1024

_FENCE = re.compile(r"---[ \t]*\n")
_DOTPROMPT_FIELDS = ("config", "input", "output", "variant", "toolDefs", "ext")
_DOTPROMPT_BODY = re.compile(r"\{\{[#>]|\{\{\s*(?:role|section)\s+[\"']|\{\{\s*media\s+url=")
_LITELLM_BODY = re.compile(r"\s*(?:System|User|Assistant):")


class PromptFileError(Exception):
    """A file that is no Humanloop prompt: the line, from 1, and what is wrong there.

    `forbidden` tells a file that is well formed but asks for what a prompt may not have.
    """

    def __init__(self, line: int, problem: str, *, forbidden: bool = False) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.forbidden = forbidden


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """What a file says; `as_text` tells that its body is one text rather than blocks."""

    model: str | None
    provider: str | None
    language: str
    parameters: Parameters
    tools: tuple[Tool, ...]
    messages: tuple[Message, ...] = field(repr=False)
    as_text: bool = False


def parse_prompt_file(content: bytes) -> PromptFile:
    """Read a file. Raises `PromptFileError`."""
    if len(content) > MAX_BYTES:
        raise PromptFileError(1, f"expected at most {MAX_BYTES} bytes, got {len(content)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PromptFileError(line, "expected UTF-8") from None
    header, body, body_line = _split(text.replace("\r\n", "\n"))
    fields = _read_header(header)
    _refuse_other_formats(fields, body, body_line)
    try:
        endpoint = _read_endpoint(fields, body)
        return PromptFile(
            model=read_text(fields, "model"),
            provider=read_text(fields, "provider"),
            language=read_text(fields, "template_language") or "default",
            parameters=read_parameters(fields),
            tools=read_tools(fields.get("tools"), ("tools",)),
            messages=_read_body(endpoint, body, body_line),
            as_text=endpoint == "complete",
        )
    except FieldError as error:
        place = ".".join(map(str, error.path))
        line = header.line(error.path) + 1
        raise PromptFileError(
            line, f"{place}: {error.problem}", forbidden=error.forbidden
        ) from None


def _split(text: str) -> tuple[Document, str, int]:
    """Return the header, the body, and the line that the body starts in."""
    opening = _FENCE.match(text)
    if opening is None:
        raise PromptFileError(1, "expected a header that begins with '---'")
    closing = re.compile(rf"^{_FENCE.pattern}|^---[ \t]*\Z", re.MULTILINE).search(
        text, opening.end()
    )
    if closing is None:
        raise PromptFileError(1, "expected a second '---' that ends the header")
    if closing.start() > _MAX_HEADER_CHARACTERS:
        raise PromptFileError(
            1, f"expected a header of at most {_MAX_HEADER_CHARACTERS} characters"
        )
    try:
        header = parse(text[opening.end() : closing.start()], aliases=False)
    except YamlError as error:
        raise PromptFileError(error.line + 1, error.message) from None
    return header, text[closing.end() :], text.count("\n", 0, closing.end()) + 1


def _read_header(header: Document) -> Mapping[str, Json]:
    if not isinstance(header.value, dict):
        raise PromptFileError(2, "expected a header of `name: value` lines")
    return header.value


def _read_endpoint(fields: Mapping[str, Json], body: str) -> str:
    endpoint = read_text(fields, "endpoint")
    if endpoint not in (None, "chat", "complete"):
        raise FieldError(("endpoint",), "expected chat or complete")
    return endpoint or ("chat" if starts_with_block(body) else "complete")


def _read_body(endpoint: str, body: str, first_line: int) -> tuple[Message, ...]:
    if endpoint == "complete":
        text = trim(body)
        return (Message(role="user", content=(Text(text),)),) if text.strip() else ()
    try:
        return read_blocks(body)
    except BlockError as error:
        line = first_line + body.count("\n", 0, error.position)
        raise PromptFileError(line, error.problem) from None


def _refuse_other_formats(fields: Mapping[str, Json], body: str, body_line: int) -> None:
    """Refuse the two other formats called `.prompt`: read as this one, they are nonsense."""
    for name in _DOTPROMPT_FIELDS:
        if name in fields:
            raise PromptFileError(
                1,
                f"expected a Humanloop prompt, got Google dotprompt's {name!r}",
            )
    if match := _DOTPROMPT_BODY.search(body):
        line = body_line + body.count("\n", 0, match.start())
        raise PromptFileError(line, "expected a Humanloop prompt, got Handlebars of Google's")
    if "endpoint" not in fields and _LITELLM_BODY.match(body):
        raise PromptFileError(
            body_line, "expected a Humanloop prompt, got LiteLLM's `System:`, `User:` lines"
        )
