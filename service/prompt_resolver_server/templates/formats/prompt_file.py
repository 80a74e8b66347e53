"""Prompt files: what all formats of them have in common, before and after they are read.

A file is a front matter of YAML between two lines `---`, and a body. Lines of comments may stand
before the front matter, as licences do.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...domain.parameters import Json, JsonObject, Parameters
from ...domain.prompts import Message, Tool
from ...strict_yaml import Document, YamlError, parse
from .fields import FieldError

MAX_BYTES = 1024 * 1024

# Reading YAML holds up the whole interpreter, a quarter of a second for a megabyte of brackets.
_MAX_HEADER_CHARACTERS = 128 * 1024

# The descriptions that names of fields may carry are prose, and prose is in no error.
_DESCRIPTION = re.compile(r"(?<=.)\(.*", re.DOTALL)
_OPENING = re.compile(r"(?:(?:#[^\n]*|[ \t]*)\n)*+---[ \t]*\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)


class PromptFileError(Exception):
    """A file that is no prompt of its format: the line, from 1, and what is wrong there.

    `forbidden` tells a file that is well formed but asks for what a prompt may not have.
    """

    def __init__(self, line: int, problem: str, *, forbidden: bool = False) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.forbidden = forbidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that is taken apart and not yet understood.

    `fields` are those of the front matter, which is None if there is none. The body begins in
    `body_line`, from 1.
    """

    fields: Mapping[str, Json] = field(repr=False)
    front_matter: Document | None = field(repr=False)
    header_line: int
    body: str = field(repr=False)
    body_line: int

    def fault(self, error: FieldError) -> PromptFileError:
        """Return the error for a field of the front matter, with its line."""
        place = ".".join(_DESCRIPTION.sub("", str(each)) for each in error.path)
        within = self.front_matter.line(error.path) if self.front_matter else 0
        return PromptFileError(
            self.header_line + within, f"{place}: {error.problem}", forbidden=error.forbidden
        )

    def line_at(self, position: int) -> int:
        """Return the line of a character of the body."""
        return self.body_line + self.body.count("\n", 0, position)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """What a file says; `as_text` tells that its body is one text rather than messages."""

    model: str | None
    provider: str | None
    language: str
    parameters: Parameters
    tools: tuple[Tool, ...]
    messages: tuple[Message, ...] = field(repr=False)
    as_text: bool = False
    defaults: JsonObject = field(default_factory=dict, repr=False)
    schema: JsonObject | None = field(default=None, repr=False)


def decode_text(content: bytes) -> str:
    """Return the text of a file, its lines ended by newlines alone. Raises `PromptFileError`."""
    if len(content) > MAX_BYTES:
        raise PromptFileError(1, f"expected at most {MAX_BYTES} bytes, got {len(content)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PromptFileError(line, "expected UTF-8") from None
    return text.replace("\r\n", "\n")


def find_header(text: str) -> range:
    """Return where a file's front matter stands; to its end where nothing closes it."""
    opening = _OPENING.match(text)
    if opening is None:
        return range(0)
    closing = _CLOSING.search(text, opening.end())
    return range(opening.end(), len(text) if closing is None else closing.start())


def read_source(content: bytes) -> Source:
    """Take a file apart. Raises `PromptFileError`."""
    text = decode_text(content)
    opening = _OPENING.match(text)
    if opening is None:
        return Source(fields={}, front_matter=None, header_line=1, body=text, body_line=1)
    header_line = text.count("\n", 0, opening.end())
    closing = _CLOSING.search(text, opening.end())
    if closing is None:
        raise PromptFileError(header_line, "expected a second '---' that ends the header")
    if closing.start() > _MAX_HEADER_CHARACTERS:
        raise PromptFileError(
            header_line, f"expected a header of at most {_MAX_HEADER_CHARACTERS} characters"
        )
    try:
        front_matter = parse(text[opening.end() : closing.start()], aliases=False)
    except YamlError as error:
        raise PromptFileError(header_line + error.line, error.message) from None
    if not isinstance(front_matter.value, dict):
        raise PromptFileError(header_line + 1, "expected a header of `name: value` lines")
    return Source(
        fields=front_matter.value,
        front_matter=front_matter,
        header_line=header_line,
        body=text[closing.end() :],
        body_line=text.count("\n", 0, closing.end()) + 1,
    )
