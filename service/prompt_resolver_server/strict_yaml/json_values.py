"""JSON as values in YAML: what JSON says in a way that readers of YAML do not take.

JSON writes an emoji as two escapes where it is written in ASCII alone, has names longer than 1,024
characters, and tabs before its lines. YAML is said to have all of JSON, and has none of that.
"""

import json
import re
import secrets
from dataclasses import dataclass, field

from ..domain.json_codec import is_deeper
from ..domain.parameters import Json
from .scalars import NumberError, check_finite, check_integer

# Only the first such place of a line: the value of a name, or an item of a list.
_BEGINNING = re.compile(r'^[^\n#]*?[:-][ \t]+(?=[\[{"])', re.MULTILINE)
_END = re.compile(r"[ \t]*(?:$|[ \t]#)", re.MULTILINE)
_MAX_LEVELS = 60
# What begins like JSON and is none has been read in vain, which is not to be done for ever.
_MAX_IN_VAIN = 100


@dataclass(frozen=True, slots=True)
class Extract:
    """A text whose JSON values were taken out: `values` are these, by what stands for them.

    Each is as many lines as it was.
    """

    text: str = field(repr=False)
    values: dict[str, Json] = field(repr=False)

    def restore(self, value: Json) -> Json | None:
        """Return what was read of the text, with its values; None where not each is one again."""
        left = set(self.values)
        restored = self._restore(value, left)
        return None if left else restored

    def _restore(self, value: Json, left: set[str]) -> Json:
        """Return a value with those that were taken out, and forget these in `left`.

        An alias has one come more than once.
        """
        match value:
            case str() if value in self.values:
                left.discard(value)
                return self.values[value]
            case list():
                return [self._restore(each, left) for each in value]
            case dict():
                return {name: self._restore(each, left) for name, each in value.items()}
            case _:
                return value


def extract(text: str) -> Extract:
    """Take out the JSON values of a YAML text."""
    # Nobody knows what stands for them, so that no text can say it.
    word = secrets.token_hex(16)
    pieces: list[str] = []
    values: dict[str, Json] = {}
    position = in_vain = 0
    while in_vain < _MAX_IN_VAIN and (match := _BEGINNING.search(text, position)) is not None:
        start = match.end()
        try:
            value, end = _DECODER.raw_decode(text, start)
            _check(value)
        except (ValueError, RecursionError, NumberError):
            end = start
        if end == start or not _END.match(text, end):
            in_vain += 1
            pieces.append(text[position:start])
            position = start
            continue
        stand_in = f"{word}-{len(values)}"
        values[stand_in] = value
        pieces += (text[position:start], f'"{stand_in}"', "\n" * text.count("\n", start, end))
        position = end
    return Extract("".join([*pieces, text[position:]]), values)


def _check(value: Json) -> None:
    if is_deeper(value, _MAX_LEVELS):
        raise ValueError
    # Half of a character is no text.
    json.dumps(value, ensure_ascii=False).encode()


def _read_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError
    return read


def _refuse_constant(_: str) -> None:
    raise ValueError


_DECODER = json.JSONDecoder(
    object_pairs_hook=_read_object,
    parse_int=lambda text: check_integer(int(text)),
    parse_float=lambda text: check_finite(float(text)),
    parse_constant=_refuse_constant,
)
