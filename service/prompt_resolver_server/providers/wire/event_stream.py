"""Amazon's event streams: bytes, in whatever portions they arrive, become messages.

The framing is botocore's, which comes with the extra `bedrock`. It is given whole messages alone,
of sizes that have been checked, so that what it does with each of them is bounded.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from ..dialect import ProtocolError
from .missing_extra import missing_extra

EVENT_STREAM = "application/vnd.amazon.eventstream"
MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_HEADERS_BYTES = 8 * 1024
_PRELUDE = struct.Struct(">III")
_CHECKSUM_BYTES = 4
_NAMES = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}


class EventMessage(NamedTuple):
    """One message: an event, or where `failed`, an exception or an error, by its name."""

    name: str
    payload: bytes
    failed: bool


class EventStreamParser:
    """Reads one stream and keeps at most one message of it.

    Raises PROVIDER_UNKNOWN where the extra is not installed.
    """

    def __init__(self) -> None:
        try:
            from botocore.eventstream import EventStreamBuffer, ParserError  # noqa: PLC0415
        except ImportError:
            raise missing_extra("bedrock") from None
        self._decoder = EventStreamBuffer()
        # What it lets through of the codec's own errors, as a message may be malformed anywhere.
        self._errors = (ParserError, struct.error, KeyError, UnicodeDecodeError)
        self._data = bytearray()

    def feed(self, chunk: bytes) -> Iterator[EventMessage]:
        """Yield the messages that the chunk completes. Raises `ProtocolError` after the last.

        A message of more than 1 MiB is none, nor is one whose checksums are not right.
        """
        self._data += chunk
        start = 0
        try:
            while (size := self._size(start)) and start + size <= len(self._data):
                message = bytes(self._data[start : start + size])
                start += size
                yield self._decode(message)
        finally:
            del self._data[:start]

    def _size(self, start: int) -> int:
        """Return how long the message is that starts there, or 0 while that cannot be told."""
        if len(self._data) - start < _PRELUDE.size:
            return 0
        size: int
        headers: int
        size, headers, _ = _PRELUDE.unpack_from(self._data, start)
        if size > MAX_MESSAGE_BYTES or headers > _MAX_HEADERS_BYTES:
            raise ProtocolError("a message of more than 1 MiB")
        if size < _PRELUDE.size + headers + _CHECKSUM_BYTES:
            raise ProtocolError("expected a message that is longer than its headers")
        return size

    def _decode(self, data: bytes) -> EventMessage:
        self._decoder.add_data(data)
        try:
            message = self._decoder.next()
        except self._errors:
            raise ProtocolError("expected a message of an event stream") from None
        headers = cast("Mapping[str, object]", message.headers)
        kind = headers.get(":message-type")
        field = _NAMES.get(kind) if isinstance(kind, str) else None
        name = headers.get(field) if field is not None else None
        if not isinstance(name, str):
            raise ProtocolError("expected a message with a type and a name")
        return EventMessage(name, message.payload, failed=kind != "event")
