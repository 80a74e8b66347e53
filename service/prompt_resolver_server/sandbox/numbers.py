"""The numbers of variables, which say the same whichever door they came through."""

import math

from ..domain.parameters import Json, JsonObject

# From here on JavaScript writes an exponent, too.
_MAX_WHOLE = 1e21


class NotFiniteError(Exception):
    """A number that JSON lacks."""


def with_whole_numbers(value: Json) -> Json:
    """Return a value in which whole numbers are integers, as in JavaScript, and -0.0 is 0.

    A `Struct` has nothing but doubles, and JSON may say 3.0. Raises `NotFiniteError`.
    """
    kind = type(value)
    if kind is str or kind is int:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotFiniteError
        return int(value) if value.is_integer() and abs(value) < _MAX_WHOLE else value
    if isinstance(value, list):
        return [with_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: with_whole_numbers(each) for name, each in value.items()}
    return value


def read_numbers(variables: JsonObject) -> tuple[dict[str, Json], dict[str, str]]:
    """Return variables with whole numbers, and what is wrong with the others, by their names."""
    read: dict[str, Json] = {}
    problems: dict[str, str] = {}
    for name, value in variables.items():
        try:
            read[name] = with_whole_numbers(value)
        except NotFiniteError:
            problems[name] = "expected finite numbers"
    return read, problems
