"""What stands in YAML without quotes: null, true, false, a number, or text.

It is what YAML 1.2 says in its core schema. YAML 1.1 took `no` for false, `010` for eight, `1:30`
for ninety and a date for more than text; who writes them means none of that.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

NUMBER = re.compile(f"{_INTEGER.pattern}|{_FLOAT.pattern}|{_NOT_FINITE.pattern}")
"""Whatever is a number, or would be one if it were finite."""

NUMBERS_BEGIN_WITH = "+-.0123456789"

_WORDS: Mapping[str, bool | None] = MappingProxyType(
    {
        **dict.fromkeys(("", "~", "null", "Null", "NULL")),
        **dict.fromkeys(("true", "True", "TRUE"), True),
        **dict.fromkeys(("false", "False", "FALSE"), False),
    }
)
# More than any number of 64 bits has, and less than what takes time to read.
_MAX_DIGITS = 30


class NumberError(Exception):
    """A number that cannot be served: `expected` says which could."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def read_plain(text: str) -> bool | int | float | str | None:
    """Return what a text without quotes is. Raises `NumberError`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in NUMBERS_BEGIN_WITH:
        return text
    if _INTEGER.fullmatch(text):
        return _read_integer(text)
    if _FLOAT.fullmatch(text):
        return check_finite(float(text))
    if _NOT_FINITE.fullmatch(text):
        return check_finite(math.nan)
    return text


def check_integer(number: int) -> int:
    """Return a whole number. Raises `NumberError` for what no JSON library could read."""
    if not -(2**63) <= number < 2**64:
        raise NumberError("expected a smaller number")
    return number


def check_finite(number: float) -> float:
    """Return a number. Raises `NumberError` for one that JSON lacks."""
    if not math.isfinite(number):
        raise NumberError("expected a finite number")
    return number


def _read_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise NumberError("expected a smaller number")
    # Python reads the others by their beginnings as YAML does, but no zero before a number.
    return check_integer(int(text, 0 if text[:2] in ("0o", "0x") else 10))
