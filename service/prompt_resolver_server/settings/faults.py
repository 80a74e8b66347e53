"""The faults of a configuration, in the words of its file: what was expected, and what came.

Never a value: any value may be a secret.
"""

from collections.abc import Sequence

from pydantic_core import ErrorDetails

from ..domain.parameters import Json, kind_of
from .model import Settings
from .server import ServerSettings

Place = tuple[str | int, ...]
"""Where something stands in a configuration: the keys, and indices of lists, that lead there."""

# What pydantic's faults expect.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "is_instance_of": "text",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_too_short": "a name",
    "string_type": "text",
    "tuple_type": "a list",
}


class ConfigError(Exception):
    """A configuration that cannot be used: one line for each fault."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def read_fault(error: ErrorDetails, values: Json) -> tuple[Place, str]:
    """Return the place of a fault that validation found in some values, and what is wrong."""
    place: Place = tuple(error["loc"])
    if place[:1] == ("stores",) and len(place) > 3:
        # What pydantic puts in between is the store's type, which is no key of the file.
        place = (*place[:2], *place[3:])
    if place and place[-1] == "[key]":
        return (
            place[:-1],
            "expected letters, digits, '_', '.' and '-' in a name, in lower case for providers",
        )
    match error["type"]:
        case "missing":
            return place[:-1], f"expected the key {place[-1]!r}"
        case "union_tag_not_found":
            return place, "expected the key 'type'"
        case "union_tag_invalid":
            return (*place, "type"), f"expected one of {error['ctx']['expected_tags']}"
        case "extra_forbidden":
            return place, _unknown_key(place)
        case "value_error":
            return place, str(error["ctx"]["error"])
        case kind:
            expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ")
            return place, f"expected {expected}, got {kind_of(_value_at(values, place))}"


def _unknown_key(place: Place) -> str:
    known = list((Settings if len(place) == 1 else ServerSettings).model_fields)
    if len(place) > 1 and place[0] != "server":
        return "unknown key"
    close = find_close(str(place[-1]), known)
    meant = f"; did you mean {close!r}?" if close else f"; expected one of {', '.join(known)}"
    return f"unknown key{meant}"


def find_close(name: str, known: Sequence[str]) -> str | None:
    """Return which of some names may have been meant by one that is none of them."""
    import difflib  # noqa: PLC0415  # for slips alone: a service without any does without its memory

    return next(iter(difflib.get_close_matches(name, known, 1)), None)


def _value_at(values: Json, place: Place) -> Json:
    for step in place:
        if isinstance(values, dict) and isinstance(step, str):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
    return values
