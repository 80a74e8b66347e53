"""`google.protobuf.Struct` and plain data."""

from collections.abc import Mapping

from google.protobuf import struct_pb2

from ..parameters import Json

_EXACT = 2**53


def to_dict(struct: struct_pb2.Struct) -> dict[str, Json]:
    """Return a `Struct` as plain data.

    A `Struct` carries every number as a double and cannot tell 3 from 3.0, so whole numbers become
    integers, up to where doubles stop telling them apart.
    """
    return {name: _to_json(value) for name, value in struct.fields.items()}


def to_struct(values: Mapping[str, Json]) -> struct_pb2.Struct:
    """Return plain data as a `Struct`."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _to_json(value: struct_pb2.Value) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _EXACT else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return to_dict(value.struct_value)
        case "list_value":
            return [_to_json(item) for item in value.list_value.values]
        case _:
            return None
