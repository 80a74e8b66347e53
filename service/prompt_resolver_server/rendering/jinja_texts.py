"""The texts of a Jinja2 template: each that has anything of Jinja2's in it is rendered whole."""

import json
import re
from collections.abc import Sequence

from ..domain.json_codec import is_deeper
from .compiler import Compiled, TooMuchError
from .substitution import CompiledText, NoPlaceError

_MARKS = ("{{", "{%", "{#")
_MAX_LEVELS = 64
_EXPECTED = "JSON, with `{{…}}` inside of its strings or in place of a whole value"

# Of a JSON text: a string, and whether it is a key; an expression in place of a value, as JSON has
# no `{{` outside of strings; and the numbers that Python reads and JSON lacks. What does not end
# goes on to the end of the text, so that nothing is looked at twice.
_PIECES = re.compile(
    r'(?P<string>"(?:\\.|[^"\\])*+"?)(?P<key>[ \t\n\r]*:)?'
    r"|(?P<expression>\{\{.*?(?:\}\}|\Z))"
    r"|NaN|-?Infinity",
    re.DOTALL,
)
# Beside a digit or a sign it is none of JSON's values, nor Python's.
_STAND_IN = "NaN"


class JinjaTexts:
    """Collects what is to be rendered in `texts`; a rendered one's number is its index there.

    `json_values` are the numbers of those that stand in place of a JSON value.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.json_values: list[int] = []

    def compile(self, text: str) -> Compiled:
        """Compile a text."""
        return CompiledText([self._number(text)] if has_marks(text) else [text])

    def compile_json(self, text: str) -> Compiled:
        """Compile a JSON text, part by part, so that no value gets out of its own.

        Raises `NoPlaceError` for what is no JSON before it is rendered.
        """
        if not has_marks(text):
            return CompiledText([text])
        _check(text)
        pieces: list[str | int] = []
        strings: set[int] = set()
        position = 0
        for match in _PIECES.finditer(text):
            string, expression = match["string"], match["expression"]
            if expression is not None:
                number = self._number(expression)
                self.json_values.append(number)
            elif match["key"] is None and has_marks(decoded := json.loads(string)):
                number = self._number(decoded)
                strings.add(number)
            else:
                continue
            pieces += (text[position : match.start()], number)
            position = match.end()
        return _CompiledJson([*pieces, text[position:]], frozenset(strings))

    def _number(self, text: str) -> int:
        self.texts.append(text)
        return len(self.texts) - 1


class _CompiledJson:
    """A JSON text with numbers of what is rendered in it; `strings` are those of its strings."""

    is_constant = False

    def __init__(self, pieces: Sequence[str | int], strings: frozenset[int]) -> None:
        self._pieces = pieces
        self._strings = strings

    def render(self, values: Sequence[str]) -> str:
        """Return the text with what was rendered in its place."""
        return "".join(
            [
                piece
                if isinstance(piece, str)
                else json.dumps(values[piece], ensure_ascii=False)
                if piece in self._strings
                else values[piece]
                for piece in self._pieces
            ]
        )


def has_marks(text: str) -> bool:
    """Tell whether there is anything of Jinja2's in a text."""
    return any(mark in text for mark in _MARKS)


def _check(text: str) -> None:
    """Raise for a text that would be no JSON with a value in place of each expression."""
    try:
        value = json.loads(_PIECES.sub(_stand_in, text))
    except (ValueError, RecursionError):
        raise NoPlaceError(_EXPECTED) from None
    if is_deeper(value, _MAX_LEVELS):
        raise TooMuchError(f"at most {_MAX_LEVELS} levels in the arguments of a call")


def _stand_in(match: re.Match[str]) -> str:
    if match["string"] is None:
        if match["expression"] is None:
            raise ValueError
        return _STAND_IN
    if has_marks(match["string"]):
        try:
            json.loads(match["string"]).encode()
        except UnicodeEncodeError:
            # Half of a character is no text that could be rendered.
            raise NoPlaceError("JSON of whole characters") from None
    return match[0]
