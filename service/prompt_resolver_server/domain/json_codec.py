"""JSON that comes from elsewhere and goes there: bytes and plain data."""

from collections.abc import Collection
from typing import Generic, TypeVar, cast

import msgspec

from .parameters import Json

_Form = TypeVar("_Form")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class JsonError(ValueError):
    """What is no JSON, or what JSON cannot say. Tells nothing of what it was."""


def decode_json(document: bytes) -> Json:
    """Return a document's content. Raises `JsonError`."""
    try:
        return cast("Json", _decode(document))
    except (ValueError, RecursionError):
        raise JsonError("expected JSON") from None


class JsonReader(Generic[_Form]):
    """Reads documents of one form, a `msgspec.Struct`: what the form does not name is skipped."""

    def __init__(self, form: type[_Form]) -> None:
        self._decode = msgspec.json.Decoder(form).decode

    def read(self, document: bytes) -> _Form:
        """Return a document's content. Raises `JsonError` for one of another form, too."""
        try:
            return self._decode(document)
        except (ValueError, RecursionError):
            raise JsonError("expected JSON of another form") from None


def encode_json(value: Json, *, sort: bool = False) -> bytes:
    """Return plain data as JSON without spaces, its keys sorted if asked. Raises `JsonError`.

    Numbers that are not finite are written as `null`.
    """
    try:
        return (_encode_sorted if sort else _encode)(value)
    except (ValueError, RecursionError):
        raise JsonError("expected what JSON can say") from None


def is_deeper(value: Json, levels: int) -> bool:
    """Tell whether lists and mappings are nested in each other in more than so many levels."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _content(outer)]
    return any(isinstance(each, dict | list) for each in layer)


def count_values(value: Json, most: int) -> int:
    """Return how many values lists and mappings hold, themselves in each other among them.

    More than `most` are not counted to the end.
    """
    count = 0
    outer = [value]
    while outer and count <= most:
        inner = _content(outer.pop())
        count += len(inner)
        outer += [each for each in inner if isinstance(each, dict | list)]
    return count


def _content(value: Json) -> Collection[Json]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
