"""Values as text: what stands in a prompt for a string, a number, a list."""

from ..domain.parameters import Json
from ..sandbox.numbers import with_whole_numbers
from ..sandbox.writing import ValueUnwritableError, write_json
from .substitution import Place

__all__ = ["ValueUnwritableError", "write_value"]


def write_value(value: Json, place: Place) -> str:
    """Return the text that stands for a value in this place.

    A string is itself; everything else is JSON, whole numbers without a fraction. Raises
    `ValueUnwritableError` for what JSON lacks.
    """
    if isinstance(value, str):
        if place == "text":
            return value
        text = write_json(value)
        return text if place == "json_value" else text[1:-1]
    text = write_json(value)
    # A whole number that is none for Python is written with one of these. Few values have any.
    if ".0" in text or "e+" in text:
        text = _write_whole(value)
    return write_json(text)[1:-1] if place == "json_string" else text


def _write_whole(value: Json) -> str:
    try:
        return write_json(with_whole_numbers(value))
    except RecursionError:
        raise ValueUnwritableError("expected fewer levels of nesting") from None
