"""Texts with variables in them that are filled in, and nothing else: no logic, no loops.

A text is cut into pieces once. Rendering joins them in a single pass, so nothing that a value
contains is ever looked at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal, TypeAlias

# A backslash that stands last escapes what follows, which is no piece of text.
_QUOTE_OR_ESCAPE = re.compile(r'\\.?|"', re.DOTALL)

Place = Literal["text", "json_string", "json_value"]
"""Where a variable stands: in plain text, inside a string of a JSON text, or as a value of one."""


class NoPlaceError(Exception):
    """A JSON text with a variable where none can stand: `expected` says what it should be."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a template.

    `tool` names the tool whose output for `argument` belongs here, if it is one's. `literal` is
    what stands here where the variable is not given, if it may be left out.
    """

    name: str
    place: Place = "text"
    tool: str | None = None
    argument: str = ""
    literal: str | None = None


Cut: TypeAlias = Callable[[str], Iterator[str | Variable]]
"""Cuts a text at its variables: returns what stands between them, and the variables.

What is between two of them comes in as many pieces as it likes."""


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

    __slots__ = ("_format", "_pick", "constant_length", "numbers", "pieces")

    def __init__(self, pieces: Sequence[str | int]) -> None:
        self.pieces = tuple(pieces)
        texts = [piece for piece in pieces if isinstance(piece, str)]
        self.numbers = tuple(piece for piece in pieces if not isinstance(piece, str))
        self.constant_length = sum(map(len, texts))
        # One alone is picked as it is, and not as one of several.
        self._pick = itemgetter(*self.numbers) if self.numbers else None
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
        return self._format % (self._pick(values) if self._pick is not None else ())


def compile_text(pieces: Iterable[str | Variable], slots: Slots) -> CompiledText:
    """Compile a text that was cut, and number its variables."""
    return CompiledText(
        [piece if isinstance(piece, str) else slots.number(piece) for piece in pieces]
    )


def place_in_json(pieces: Iterable[str | Variable]) -> Iterator[str | Variable]:
    """Return the pieces of a JSON text, with the variables inside of its strings told as such.

    Raises `NoPlaceError` for one right behind a backslash: that would escape the escape which a
    value begins with, and let the rest of the value out of its string.
    """
    in_string = escapes = False
    for piece in pieces:
        if isinstance(piece, str):
            # What was escaped by the piece before is no quote of this one.
            marks = _QUOTE_OR_ESCAPE.findall(piece[escapes:])
            in_string ^= marks.count('"') % 2 == 1
            escapes = marks[-1:] == ["\\"]
            yield piece
        elif escapes:
            raise NoPlaceError("JSON without a backslash before a variable")
        else:
            yield replace(piece, place="json_string" if in_string else "json_value")
