"""Server-sent events: bytes, in whatever portions they arrive, become the events' data."""

from ..dialect import ProtocolError

EVENT_STREAM = "text/event-stream"
MAX_EVENT_BYTES = 1024 * 1024
_MAX_STRAY_BYTES = 64 * 1024
_OTHER_FIELDS = frozenset({b"", b"id", b"retry"})


class ErrorEvent(bytes):
    """The data of an event that is named `error`."""


class SseParser:
    """Reads one stream and keeps at most one event of it.

    Follows the WHATWG specification, but counts an event that the end of the stream cuts off before
    its blank line: what to make of it is for the reader to say.
    """

    def __init__(self) -> None:
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._is_error = False
        self._after_return = False
        self._first_line = True
        self.strays: list[bytes] = []
        """Lines that are of no event, as far as they are few: some servers put failures there."""
        self._stray_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that the chunk completes; an empty chunk ends the stream.

        The data of an event that is named `error` is an `ErrorEvent`. Raises `ProtocolError` for a
        line, or an event, of more than 1 MiB.
        """
        if not chunk:
            return self._take_lines([*self._join_fragments(b""), b""])
        if events := self._split(chunk):
            return events
        if self._after_return:
            # A line's end may be split: the newline belongs to the return before it.
            chunk = chunk.removeprefix(b"\n")
        self._after_return = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        is_whole = chunk.endswith((b"\n", b"\r"))
        rest = lines.pop() if lines and not is_whole else b""
        if lines:
            lines[:1] = self._join_fragments(lines[0])
        if rest:
            self._fragments.append(rest)
            self._fragments_bytes += len(rest)
            if self._fragments_bytes > MAX_EVENT_BYTES:
                raise ProtocolError("a line of more than 1 MiB")
        return self._take_lines(lines)

    def _split(self, chunk: bytes) -> list[bytes]:
        """Return the data of events that are whole and have a line of data each, as most do.

        There is none where it takes a look at each line to tell.
        """
        is_between = not (self._fragments or self._data or self._is_error or self._after_return)
        if not (is_between and chunk[:6] == b"data: " and chunk[-2:] == b"\n\n"):
            return []
        events = chunk[6:-2].split(b"\n\ndata: ")
        if chunk.count(b"\n") != 2 * len(events) or b"\r" in chunk or len(chunk) > MAX_EVENT_BYTES:
            return []
        self._first_line = False
        return events

    def _join_fragments(self, end: bytes) -> list[bytes]:
        line = b"".join((*self._fragments, end))
        self._fragments = []
        self._fragments_bytes = 0
        return [line]

    def _take_lines(self, lines: list[bytes]) -> list[bytes]:
        events = []
        if lines and self._first_line:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            self._first_line = False
        for line in lines:
            if line:
                self._take_field(line)
            elif self._data:
                data = b"\n".join(self._data)
                events.append(ErrorEvent(data) if self._is_error else data)
                self._data = []
                self._data_bytes = 0
                self._is_error = False
            else:
                self._is_error = False
        return events

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_bytes += len(line) + 1
            if self._data_bytes > MAX_EVENT_BYTES:
                raise ProtocolError("an event of more than 1 MiB")
        elif name == b"event":
            self._is_error = value.strip() == b"error"
        elif name not in _OTHER_FIELDS:
            self._stray_bytes += len(line)
            if self._stray_bytes <= _MAX_STRAY_BYTES:
                self.strays.append(line)
