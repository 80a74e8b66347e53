"""Newline-delimited JSON: bytes, in whatever portions they arrive, become lines."""

from ..dialect import ProtocolError

NDJSON = "application/x-ndjson"
MAX_LINE_BYTES = 1024 * 1024


class LineReader:
    """Reads one stream and keeps at most one line of it.

    A line that the end of the stream cuts off is a line: whether it is a whole one is for the
    reader of its JSON to say.
    """

    def __init__(self) -> None:
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that the chunk completes and that are not blank; an empty chunk ends it.

        Raises `ProtocolError` for a line of more than 1 MiB.
        """
        *lines, rest = chunk.split(b"\n") if chunk else (b"", b"")
        if lines:
            lines[0] = b"".join((*self._fragments, lines[0]))
            self._fragments, self._fragments_bytes = [], 0
        if rest:
            self._fragments.append(rest)
            self._fragments_bytes += len(rest)
        if max(self._fragments_bytes, *map(len, lines), 0) > MAX_LINE_BYTES:
            raise ProtocolError("a line of more than 1 MiB")
        return [line for line in (line.strip() for line in lines) if line]
