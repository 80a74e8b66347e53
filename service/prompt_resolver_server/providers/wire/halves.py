"""Characters beyond the first 65,536, which some servers cut in half between two events."""

import re

_FIRST_AT_END = re.compile(rb'(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})"')
_SECOND_AT_START = re.compile(rb'"(?=\\u[dD][c-fC-F][0-9a-fA-F]{2})')


class HalfJoiner:
    """Moves the first half of a character, which ends a text, to where the second half begins one.

    JSON writes such a character as two escapes, and knows no text that has only one of them.
    """

    def __init__(self) -> None:
        self.held = b""
        """The half that waits for the other one."""

    def join(self, document: bytes) -> bytes:
        """Return an event as it would be had the character not been cut."""
        if self.held:
            whole = _SECOND_AT_START.sub(lambda _: b'"' + self.held, document, count=1)
            if whole != document:
                self.held = b""
            document = whole
        first = None if self.held else _FIRST_AT_END.search(document)
        if first is None:
            return document
        self.held = first[1]
        return document[: first.start(1)] + document[first.end(1) :]
