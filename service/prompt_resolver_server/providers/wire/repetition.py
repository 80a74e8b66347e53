"""Events that differ from each other in one text alone, as most of those of a stream do.

To read all of such an event again costs three times as much as to read what is new in it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

_decode_text = msgspec.json.Decoder(str).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
# No place but that of the text has two texts.
_PROBES = ((b'"\\u0001"', "\x01"), (b'"\\u0002"', "\x02"))
_TRIES = 3
"""How many forms of events are learnt of a stream whose events do not keep to any."""
_AT_ONCE = 64
"""How many events are read in one step."""
_MAX_BYTES = 4096
"""Larger events are not learnt from: there are few, and each is a text for the most part."""
_WORTH = 8
"""A form that so many events have had was worth it."""


class Repetition:
    """Knows the form of a stream's events once it has seen it, and reads what has that form.

    `read` returns the text of an event that tells a text and nothing else, and None of others. Its
    text is the value of `name`. Where events with texts of ours in that place are read as these
    texts, JSON leaves nothing else that another text could be there.
    """

    def __init__(self, name: str, read: Callable[[bytes], str | None]) -> None:
        self._literal = re.compile(rb'"%b"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")' % name.encode())
        self._read = read
        self._form: tuple[bytes, bytes] | None = None
        self._tries = _TRIES
        self._had = 0
        self._at_once = _AT_ONCE

    def texts_of(self, events: Iterable[bytes]) -> Sequence[str]:
        """Return the texts of events of the known form, up to one that is not, or is not plain."""
        if self._form is None:
            return ()
        before, after = self._form
        first, last = len(before), -len(after)
        literals = []
        for event in islice(events, self._at_once):
            is_plain = type(event) is bytes
            if not (is_plain and event.startswith(before) and event.endswith(after)):
                break
            literals.append(event[first:last])
        texts = _read_texts(literals)
        # What is none is looked at again, and what follows it. That may not be much each time.
        self._at_once = _AT_ONCE if len(texts) == len(literals) else 1
        self._had += len(texts)
        return texts

    def learn(self, event: bytes) -> None:
        """Take the form of an event for that of those which follow, if it may be it."""
        if self._had >= _WORTH:
            self._tries, self._had = _TRIES, 0
        if self._tries == 0:
            self._form = None
            return
        found = self._literal.search(event) if len(event) <= _MAX_BYTES else None
        form = (event[: found.start(1)], event[found.end(1) :]) if found else None
        if form is not None and form == self._form:
            return
        self._tries -= 1
        if form is not None and self._fits(*form):
            self._form, self._had = form, 0

    def _fits(self, before: bytes, after: bytes) -> bool:
        """Tell whether what is between the two is the text of an event."""
        return all(self._read(before + probe + after) == text for probe, text in _PROBES)


def _read_texts(literals: Sequence[bytes]) -> Sequence[str]:
    """Return texts, up to what is none."""
    try:
        texts = _decode_texts(b"[%b]" % b"\n,\n".join(literals))
    except ValueError:
        texts = []
    # No text has a line's end in it, so none of these commas does; and between two of them there
    # has to be something. If there are as many texts, each literal is one.
    return texts if len(texts) == len(literals) else [*_read_one_by_one(literals)]


def _read_one_by_one(literals: Sequence[bytes]) -> Iterator[str]:
    for literal in literals:
        try:
            yield _decode_text(literal)
        except ValueError:
            return
