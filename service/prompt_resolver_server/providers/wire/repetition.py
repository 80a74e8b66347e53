"""Events that differ from each other in one text alone, as most of those of a stream do.

To read all of such an event again costs three times as much as to read what is new in it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

_decode_text = msgspec.json.Decoder(str).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_PROBE, _PROBE_TEXT = b'"\\u0001"', "\x01"
_TRIES = 3
"""How many forms of events are learnt of a stream whose events do not keep to any."""
_WORTH = 8
"""A form that so many events have had was worth it."""


class Repetition:
    """Knows the form of a stream's events once it has seen it, and reads what has that form.

    `read` returns the text of an event that tells a text and nothing else, and None of others. Its
    text is the value of `name`. Where an event with a text of ours in that place is read as that
    text, JSON leaves nothing else that another text could be there.
    """

    def __init__(self, name: str, read: Callable[[bytes], str | None]) -> None:
        self._literal = re.compile(rb'"%b"\s*:\s*("(?:[^"\\]|\\.)*")' % name.encode())
        self._read = read
        self._form: tuple[bytes, bytes] | None = None
        self._tries = _TRIES
        self._had = 0

    def texts_of(self, events: Iterable[bytes]) -> Sequence[str]:
        """Return the texts of events of the known form, up to one that is not, or is not plain."""
        if self._form is None:
            return ()
        before, after = self._form
        first, last = len(before), -len(after)
        literals = []
        for event in events:
            is_plain = type(event) is bytes
            if not (is_plain and event.startswith(before) and event.endswith(after)):
                break
            literals.append(event[first:last])
        texts = _read_texts(literals)
        self._had += len(texts)
        return texts

    def learn(self, event: bytes) -> None:
        """Take the form of an event for that of those which follow, if it may be it."""
        if self._had >= _WORTH:
            self._tries = _TRIES
        if self._tries == 0:
            self._form = None
            return
        found = self._literal.search(event)
        if found is None:
            return
        form = before, after = event[: found.start(1)], event[found.end(1) :]
        if form != self._form and self._read(before + _PROBE + after) == _PROBE_TEXT:
            self._form, self._had = form, 0
            self._tries -= 1


def _read_texts(literals: Sequence[bytes]) -> Sequence[str]:
    """Return texts, up to what is none."""
    try:
        texts = _decode_texts(b"[%b]" % b",".join(literals))
    except ValueError:
        texts = []
    # Between two commas there has to be something: if there are as many, each of them is one text.
    return texts if len(texts) == len(literals) else [*_read_one_by_one(literals)]


def _read_one_by_one(literals: Sequence[bytes]) -> Iterator[str]:
    for literal in literals:
        try:
            yield _decode_text(literal)
        except ValueError:
            return
