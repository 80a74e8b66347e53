"""Values as text: what stands in a prompt for a string, a number, a list."""

import json

from ..parameters import Json
from .substitution import Place

# Made once: `json.dumps` makes one for each call. A Struct keeps no order of its keys, and a prompt
# that changes from call to call is a prompt that no provider can cache.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)


class ValueUnwritableError(Exception):
    """A value that no text can stand for; says what was expected, never the value."""


def write_value(value: Json, place: Place) -> str:
    """Return the text that stands for a value in this place.

    A string is itself; everything else is JSON. Raises `ValueUnwritableError` for what JSON lacks.
    """
    if place == "text" and isinstance(value, str):
        return value
    text = _write_json(value)
    if place != "json_string":
        return text
    return text[1:-1] if isinstance(value, str) else _write_json(text)[1:-1]


def _write_json(value: Json) -> str:
    if type(value) is int:
        return str(value)
    try:
        return _ENCODER.encode(value)
    except ValueError:
        raise ValueUnwritableError("expected finite numbers") from None
    except RecursionError:
        raise ValueUnwritableError("expected fewer levels of nesting") from None
