"""A response of HTTP/1.1, taken apart by llhttp as it comes in."""

from http import HTTPStatus

import httptools

_OK = HTTPStatus.OK.value
_MAX_BARE_BYTES = 64 * 1024
# Far more than any server sends: headers, trailers and interim responses, one by one.
_MAX_FIELDS = 256


class Incoming:
    """One response, as it comes in."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """By their names in lower case; of those that repeat, the first."""
        self.body: list[bytes] = []
        self.size = 0
        """How much of the body waits for its reader."""
        self.bare_bytes = 0
        """How much has come since the last part of the body, or since the head."""
        self.begun = False
        self.ended = False
        self.failed = False
        self.paused = False
        self.keep_alive = False
        self._coding = ""
        self._fields = 0
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # There are servers that end a line, or fill a chunk's size up, in ways of their own.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def is_framed(self) -> bool:
        """Whether the response itself tells where it ends, rather than the connection's end."""
        return self._coding == "chunked" or (not self._coding and "content-length" in self.headers)

    def take(self) -> bytes:
        """Return what waits of the body."""
        if not self.body:
            return b""
        data = b"".join(self.body)
        self.body.clear()
        self.size = 0
        return data

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        parser = self._parser
        if parser is None:
            # Nobody asked for more: what comes next could be taken for another's response.
            self.keep_alive = False
            return
        before = self.begun, self.size
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.failed = True
        if self.ended or self.failed:
            # It holds this object, and would stay until both are found by chance.
            self._parser = None
        if (self.begun, self.size) != before:
            self.bare_bytes = 0
            return
        # Heads, trailers and what else goes with chunks could be without an end.
        self.bare_bytes += len(data)
        if self.bare_bytes > _MAX_BARE_BYTES:
            self.failed = True

    def on_message_begin(self) -> None:
        """Begin a response; one that follows another was not asked for."""
        if self.ended:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, which a trailer is not."""
        self._fields += 1
        if self._fields > _MAX_FIELDS:
            # Each costs more to take than its bytes tell. An exception ends the parsing.
            raise ValueError("too many fields")
        if self.begun:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers.setdefault(key, text)
        if key == "transfer-encoding":
            self._coding = text.rpartition(",")[2].strip().lower()

    def on_headers_complete(self) -> None:
        """Begin the body, unless it is an interim response that ends here."""
        parser = self._parser
        if self.begun or parser is None:
            return
        status = parser.get_status_code()
        if status < _OK:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise ValueError("too many interim responses")
            self.headers.clear()
            self._coding = ""
            return
        self.status = status
        self.keep_alive = parser.should_keep_alive()
        self.begun = True

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if self.begun and not self.ended:
            self.body.append(data)
            self.size += len(data)

    def on_message_complete(self) -> None:
        """End the response, unless it was an interim one."""
        self.ended = self.begun
