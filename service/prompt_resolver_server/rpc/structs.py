"""`google.protobuf.Struct` and plain data."""

from collections.abc import Iterable, Mapping

from google.protobuf import struct_pb2

from ..domain.errors import CallError, Reason, Violation
from ..domain.parameters import Json

MAX_VALUES = 100_000
"""How many values `Struct`s that are counted together may hold: more would hold up other calls."""

_EXACT = 2**53


def read_plain(
    struct: struct_pb2.Struct, path: str, reason: Reason = Reason.REQUEST_INVALID
) -> dict[str, Json]:
    """Return the `Struct` at a path as plain data. Raises the reason if it has too many values.

    A `Struct` carries every number as a double and cannot tell 3 from 3.0, so whole numbers become
    integers, up to where doubles stop telling them apart. It keeps no order either, and gives its
    fields in another one in each process: they are sorted, so that what is made of them is the same
    everywhere, as the caches of providers need it.
    """
    return StructReader().read(struct, path, reason)


def to_struct(values: Mapping[str, Json]) -> struct_pb2.Struct:
    """Return plain data as a `Struct`."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


class _TooLargeError(Exception):
    """A `Struct` with more values than may be."""


class StructReader:
    """Reads `Struct`s, and counts what is in all of them."""

    _left = MAX_VALUES

    def read(
        self,
        struct: struct_pb2.Struct,
        path: str,
        reason: Reason = Reason.REQUEST_INVALID,
        *,
        by_name: bool = False,
    ) -> dict[str, Json]:
        """Return one more `Struct`; see `read_plain`.

        Where its own fields are looked up `by_name` alone, those within them are sorted.
        """
        fields = struct.fields
        try:
            return self._read_fields(fields, fields if by_name else sorted(fields))
        except _TooLargeError:
            raise CallError(
                reason,
                f"{path}: expected at most {MAX_VALUES} values",
                violations=(Violation(path, "too many values"),),
            ) from None

    def _read_fields(
        self, fields: Mapping[str, struct_pb2.Value], names: Iterable[str]
    ) -> dict[str, Json]:
        self._left -= len(fields)
        if self._left < 0:
            raise _TooLargeError
        values: dict[str, Json] = {}
        # Its own `items` is slower than looking each name up, and most values are text.
        for name in names:
            value = fields[name]
            values[name] = value.string_value or self._read(value)
        return values

    def _read(self, value: struct_pb2.Value) -> Json:
        match value.WhichOneof("kind"):
            case "string_value":
                return value.string_value
            case "number_value":
                number = value.number_value
                return int(number) if number.is_integer() and abs(number) <= _EXACT else number
            case "bool_value":
                return value.bool_value
            case "struct_value":
                fields = value.struct_value.fields
                return self._read_fields(fields, sorted(fields))
            case "list_value":
                self._left -= len(value.list_value.values)
                if self._left < 0:
                    raise _TooLargeError
                return [self._read(item) for item in value.list_value.values]
            case _:
                return None
