"""Values as text: what stands in a prompt for a string, a number, a list."""

from ..domain.parameters import Json
from ..sandbox.writing import ValueUnwritableError, write_json
from .substitution import Place

__all__ = ["ValueUnwritableError", "write_value"]


def write_value(value: Json, place: Place) -> str:
    """Return the text that stands for a value in this place.

    A string is itself; everything else is JSON. Raises `ValueUnwritableError` for what JSON lacks.
    """
    if place == "text" and isinstance(value, str):
        return value
    text = write_json(value)
    if place != "json_string":
        return text
    return text[1:-1] if isinstance(value, str) else write_json(text)[1:-1]
