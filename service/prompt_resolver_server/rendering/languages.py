"""The template languages that only fill variables in, and how each of them writes a variable."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from .substitution import Cut, Variable

_DEFAULT = re.compile(
    r"""\{\{[ \t\n\r\xa0]?
    (?: ([A-Za-z0-9_.\[\]]+)
      | (([A-Za-z0-9_-]+)\(([A-Za-z0-9_\-,\s"]*)\))
    )
    [ \t\n\r\xa0]?\}\}""",
    re.VERBOSE,
)
# Quotes and line breaks are in no name, but they are in JSON, which is full of braces.
_BRACES = re.compile(r'\{\{([^{}"\n]+)\}\}|\{([^{}"\n]+)\}')


def cut_default(text: str) -> Iterator[str | Variable]:
    """Cut a text of Humanloop's.

    A variable is `{{`, at most one white space character, a name of ASCII letters, digits, `_`,
    `.`, `[` and `]`, at most one white space character, and `}}`. A name is a literal key:
    `user.name` is looked up as `user.name`, never as an attribute. `{{tool-name(argument)}}` stands
    for the output of a tool. Whatever matches neither is text.
    """
    position = 0
    for match in _DEFAULT.finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        name, reference, tool, argument = match.groups()
        yield Variable(name) if name else Variable(reference, tool=tool, argument=argument.strip())
        position = match.end()
    if position < len(text):
        yield text[position:]


def cut_langfuse(text: str) -> Iterator[str | Variable]:
    """Cut a text of Langfuse's: whatever stands in `{{…}}`, trimmed, is a name.

    It ends at the first `}}`. What would have a brace in its name, or none at all, is text.
    """
    position = 0
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            break
        name = text[start + 2 : end].strip()
        if start > position:
            yield text[position:start]
        if name and "{" not in name and "}" not in name:
            yield Variable(name)
        else:
            yield text[start : end + 2]
        position = end + 2
    if position < len(text):
        yield text[position:]


def cut_braces(text: str) -> Iterator[str | Variable]:
    """Cut a text in which `{{name}}` and `{name}` are variables if somebody gives them a value.

    Otherwise they are text: nothing tells a variable that is missing from braces that are meant.
    """
    position = 0
    for match in _BRACES.finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        yield Variable(match[1] or match[2], literal=match[0])
        position = match.end()
    if position < len(text):
        yield text[position:]


CUTS: Mapping[str, Cut] = MappingProxyType(
    {"default": cut_default, "langfuse": cut_langfuse, "braces": cut_braces}
)
"""By the language's name."""

LANGUAGES = ("default", "langfuse", "braces", "jinja", "handlebars")
"""All languages that are served."""
