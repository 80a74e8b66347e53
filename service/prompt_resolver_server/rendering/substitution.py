"""Humanloop's default template language: `{{name}}` stands for a variable.

A variable is `{{`, at most one white space character, a name of ASCII letters, digits, `_`, `.`,
`[` and `]`, at most one white space character, and `}}`. A name is a literal key: `user.name` is
looked up as `user.name`, never as an attribute. `{{tool-name(argument)}}` stands for the output of
a tool. Whatever matches neither is text.

A text is cut into pieces once. Rendering joins them in a single pass, so nothing that a value
contains is ever looked at.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_VARIABLE = re.compile(
    r"""\{\{[ \t\n\r\xa0]?
    (?: ([A-Za-z0-9_.\[\]]+)
      | (([A-Za-z0-9_-]+)\([A-Za-z0-9_\-,\s"]*\))
    )
    [ \t\n\r\xa0]?\}\}""",
    re.VERBOSE,
)
_QUOTE_OR_ESCAPE = re.compile(r'\\.|"', re.DOTALL)

Place = Literal["text", "json_string", "json_value"]
"""Where a variable stands: in plain text, inside a string of a JSON text, or as a value of one."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a template; `tool` names the tool whose output belongs here, if it is one's."""

    name: str
    place: Place = "text"
    tool: str | None = None


class Slots:
    """Numbers the variables of one template, each once, in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[Variable, int] = {}

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables; each one's number is its index."""
        return tuple(self._numbers)

    def number(self, variable: Variable) -> int:
        """Return the variable's number."""
        return self._numbers.setdefault(variable, len(self._numbers))


class CompiledText:
    """A text cut at its variables: `pieces` has their numbers in their places.

    `numbers` are those of its variables in the order of their occurrence; without the values it is
    `constant_length` long.
    """

    __slots__ = ("_format", "constant_length", "numbers", "pieces")

    def __init__(self, pieces: Sequence[str | int]) -> None:
        self.pieces = tuple(pieces)
        texts = [piece for piece in pieces if isinstance(piece, str)]
        self.numbers = tuple(piece for piece in pieces if not isinstance(piece, str))
        self.constant_length = sum(map(len, texts))
        # Fills in the values in a single pass, and never looks at what is in them.
        self._format = "".join(
            piece.replace("%", "%%") if isinstance(piece, str) else "%s" for piece in pieces
        )

    @property
    def is_constant(self) -> bool:
        """Whether the text has no variables."""
        return not self.numbers

    def render(self, values: Sequence[str]) -> str:
        """Return the text with the values, by their variables' numbers, in place."""
        return self._format % tuple([values[number] for number in self.numbers])


def compile_text(text: str, slots: Slots) -> CompiledText:
    """Cut a text at its variables."""
    return CompiledText(
        [piece if isinstance(piece, str) else slots.number(piece) for piece in cut_text(text)]
    )


def compile_json(text: str, slots: Slots) -> CompiledText:
    """Cut a JSON text at its variables, telling those inside of its strings from the others."""
    pieces: list[str | int] = []
    in_string = False
    for piece in _cut(text):
        if isinstance(piece, str):
            in_string ^= _QUOTE_OR_ESCAPE.findall(piece).count('"') % 2 == 1
            pieces.append(piece)
        else:
            place: Place = "json_string" if in_string else "json_value"
            pieces.append(slots.number(_variable(piece, place)))
    return CompiledText(tuple(pieces))


def cut_text(text: str) -> Iterator[str | Variable]:
    """Cut a text at its variables, and return what stands between them, and the variables."""
    for piece in _cut(text):
        yield piece if isinstance(piece, str) else _variable(piece, "text")


def _cut(text: str) -> Iterator[str | re.Match[str]]:
    position = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        yield match
        position = match.end()
    if position < len(text):
        yield text[position:]


def _variable(match: re.Match[str], place: Place) -> Variable:
    name, reference, tool = match.groups()
    return Variable(name, place) if name else Variable(reference, place, tool)
