"""Readers of what a program says in plain data: a field is what it should be, or an error tells.

`TypeError` is for a value of the wrong kind and `ValueError` for a wrong value. Both name the
field's path and hold no value.
"""

from collections.abc import Mapping, Sequence

from google.protobuf import struct_pb2

# The contract's messages carry 32 levels of a `Struct`, and a tool's stand inside of one more.
_MAX_LEVELS = 30
# A `Struct` carries doubles, which from there on cannot tell one whole number from the next.
_EXACT = 2**53


def as_mapping(value: object, path: str) -> Mapping[str, object]:
    """Return a value that is a mapping with text for keys."""
    if not isinstance(value, Mapping):
        raise unexpected(path, "a mapping", value)
    for name in value:
        if not isinstance(name, str):
            raise unexpected(path, "text as the names in it", name)
    return value


def as_items(value: object, path: str) -> Sequence[object]:
    """Return a value that is a list or a tuple."""
    if not isinstance(value, list | tuple):
        raise unexpected(path, "a list", value)
    return value


def as_text(value: object, path: str) -> str:
    """Return a value that is text and not empty."""
    if not isinstance(value, str):
        raise unexpected(path, "text", value)
    if not value:
        raise ValueError(f"{path}: expected text, got an empty one")
    return value


def read_text(source: Mapping[str, object], name: str, path: str = "") -> str | None:
    """Return a field that is text and not empty, or None where it is missing or None."""
    value = source.get(name)
    return None if value is None else as_text(value, f"{path}{name}")


def read_flag(source: Mapping[str, object], name: str, path: str = "") -> bool | None:
    """Return a field that is true or false, or None where it is missing or None."""
    value = source.get(name)
    if not isinstance(value, bool | None):
        raise unexpected(f"{path}{name}", "true or false", value)
    return value


def read_number(source: Mapping[str, object], name: str) -> float | None:
    """Return a field that is a number, or None where it is missing or None."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise unexpected(name, "a number", value)
    return value


def read_integer(source: Mapping[str, object], name: str, *, bits: int = 32) -> int | None:
    """Return a field that is a whole number of this size, or None where it is missing or None."""
    value = source.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise unexpected(name, "a whole number", value)
    if value is not None and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"{name}: expected a smaller number")
    return value


def to_struct(values: Mapping[str, object], path: str) -> struct_pb2.Struct:
    """Return plain data as a `Struct`."""
    struct = struct_pb2.Struct()
    _fill_struct(struct, values, path, _MAX_LEVELS)
    return struct


def unexpected(path: str, expected: str, came: object) -> TypeError:
    """Return the error for a value of the wrong kind."""
    return TypeError(f"{path}: expected {expected}, got {type(came).__name__}")


def _fill_struct(
    struct: struct_pb2.Struct, values: Mapping[str, object], path: str, levels: int
) -> None:
    for name, value in as_mapping(values, path).items():
        _fill(struct.fields[name], value, f"{path}.{name}", levels - 1)


def _fill(wire: struct_pb2.Value, value: object, path: str, levels: int) -> None:
    match value:
        case None:
            wire.null_value = struct_pb2.NULL_VALUE
        case bool():
            wire.bool_value = value
        case str():
            wire.string_value = value
        case int() if abs(value) > _EXACT:
            raise ValueError(f"{path}: expected a number up to 2**53, or a larger one as text")
        case int() | float():
            wire.number_value = value
        case Mapping() | list() | tuple() if levels < 1:
            raise ValueError(f"{path}: expected at most {_MAX_LEVELS} levels of nesting")
        case struct_pb2.Struct():
            wire.struct_value.CopyFrom(value)
        case struct_pb2.ListValue():
            wire.list_value.CopyFrom(value)
        case Mapping():
            wire.struct_value.SetInParent()
            _fill_struct(wire.struct_value, value, path, levels)
        case list() | tuple():
            wire.list_value.SetInParent()
            for index, item in enumerate(value):
                _fill(wire.list_value.values.add(), item, f"{path}[{index}]", levels - 1)
        case _:
            raise unexpected(path, "what JSON can say", value)
