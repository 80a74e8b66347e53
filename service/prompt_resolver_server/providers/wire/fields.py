"""Readers of JSON that came from elsewhere: a field is what it should be, or `ProtocolError`.

No error quotes anything of what came.
"""

from collections.abc import Mapping

from ...domain.json_codec import JsonError, decode_json
from ...domain.parameters import Json
from ..dialect import ProtocolError


def read_object(document: bytes) -> Mapping[str, Json]:
    """Return a document that is a JSON object."""
    try:
        value = decode_json(document)
    except JsonError:
        raise ProtocolError("expected JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("expected a JSON object")
    return value


# Sums of a few counts fit into the contract's 64 bits, too.
_MAX_COUNT = 2**53


def read_count(source: Mapping[str, Json], name: str) -> int | None:
    """Return a number of things, or None for what is none."""
    value = source.get(name)
    if type(value) is int and 0 <= value <= _MAX_COUNT:
        # As almost all of them are.
        return value
    if isinstance(value, float) and value.is_integer():
        # Some write whole numbers with a fraction.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        return None
    return value


def read_text(source: Mapping[str, Json], name: str) -> str:
    """Return a field that is text, empty where it is missing."""
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"expected {name} to be text")
    return value


def read_mapping(source: Mapping[str, Json], name: str) -> Mapping[str, Json] | None:
    """Return a field that is an object, or None where it is missing."""
    value = source.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise ProtocolError(f"expected {name} to be an object")


def read_items(source: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    """Return a field that is a list of objects, empty where it is missing."""
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ProtocolError(f"expected {name} to be a list")
    objects: list[Mapping[str, Json]] = []
    for item in value:
        if not isinstance(item, dict):
            raise ProtocolError(f"expected {name} to be objects")
        objects.append(item)
    return objects
