"""What is read of an event by its form alone is what reading all of it would tell."""

import json
from collections.abc import Iterator
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.providers.wire.repetition import Repetition

Form = tuple[str, str, bool]
"""What is before the text and after it, and whether all of it is in ASCII, without spaces."""

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(['"', "\\", '","content":"x', '"content":"', "\x01", "\\u0001", "\n", "é"]),
)


def read(event: bytes) -> str | None:
    """Return the text of an event in full."""
    try:
        document = json.loads(event)
    except ValueError:
        return None
    text = document.get("content") if isinstance(document, dict) else None
    return text if isinstance(text, str) else None


def write(text: str, form: Form) -> bytes:
    before, after, is_plain = form
    separators = (",", ":") if is_plain else (", ", ": ")
    document = {"before": before, "content": text, "after": after}
    return json.dumps(document, ensure_ascii=is_plain, separators=separators).encode()


def know(event: bytes) -> Repetition:
    """Return what has learnt the form of an event."""
    repetition = Repetition("content", read)
    repetition.learn(event)
    return repetition


def text_of(repetition: Repetition, event: bytes) -> str | None:
    """Return the text of one event, or None if all of it has to be read."""
    texts = repetition.texts_of([event])
    return texts[0] if texts else None


@given(TEXTS, TEXTS, st.tuples(TEXTS, TEXTS, st.booleans()))
def test_same_form(first: str, text: str, form: Form) -> None:
    """Of an event of a form that is known, the text is known, or all of it has to be read."""
    found = text_of(know(write(first, form)), write(text, form))

    assert found in (text, None)


@given(TEXTS, TEXTS)
def test_usual_form(first: str, text: str) -> None:
    """In a form where nothing else could be the text, it is known."""
    form = ("id", "model", True)

    assert text_of(know(write(first, form)), write(text, form)) == text


@given(TEXTS, TEXTS, *[st.tuples(TEXTS, TEXTS, st.booleans())] * 2)
def test_other_form(first: str, text: str, known: Form, form: Form) -> None:
    """An event that differs in more than its text is never taken for one that does not."""
    event = write(text, form)
    found = text_of(know(write(first, known)), event)

    assert found is None or json.loads(event) == {
        **json.loads(write(first, known)),
        "content": found,
    }


@pytest.mark.parametrize(
    "event",
    [
        b'{"content":"a","content":"b"}',
        b'{"content":"a","\\u0063ontent":"b"}',
        b'{"x":{"content":"a"},"content":"b"}',
        b'{"x":"\\"content\\":\\"a\\"","content" : 1}',
        b'{"x":{"content":"a"},"content":"\\u0001"}',
        b'{"content":null}',
        b'{"content":["a"]}',
    ],
)
def test_form_that_is_none(event: bytes) -> None:
    """Where another text in the place of the first one is not the event's, nothing is learnt."""
    assert text_of(know(event), event) is None


@pytest.mark.parametrize(
    "literal", [b"", b'"', b'"\\ud83d"', b'"\xff"', b'"a","b":"c"', b'"a" "b"', b"1", b"null"]
)
def test_what_is_no_text(literal: bytes) -> None:
    """What is in the place of the text and is none has to be read in full."""
    assert text_of(know(b'{"content":"a","x":1}'), b'{"content":' + literal + b',"x":1}') is None


@given(
    st.lists(
        st.sampled_from(
            [b'"a"', b'"b" ', b'"a","b"', b"", b" ", b"1", b'"']
            + [b'"a', b'b","c"', b'"a\\"', b'","c"']
        ),
        max_size=5,
    )
)
def test_many_at_once(literals: list[bytes]) -> None:
    """Of events that come together, those are known that are known one by one, up to the first."""
    known = b'{"content":"a","x":1}'
    events = [b'{"content":' + literal + b',"x":1}' for literal in literals]
    alone = [text_of(know(known), event) for event in events]

    assert [*know(known).texts_of(events)] == [*takewhile(lambda text: text is not None, alone)]


class Named(bytes):
    """An event that is more than its data."""


def test_events_that_are_more() -> None:
    """An event with a name of its own is for its reader to look at, whatever its data."""
    event = b'{"content":"a","x":1}'

    assert [*know(event).texts_of([event, Named(event), event])] == ["a"]


def test_overlap() -> None:
    """An event has the beginning and the end of a form one after the other, and not as one."""
    assert text_of(know(b'{"content":"a"}'), b'{"content":}') is None
    assert text_of(know(b'["content":"a"'), b'["content":') is None


def test_large_event() -> None:
    """A large event is not learnt from, and is known where a small one was."""
    small, large = write("a", ("", "", True)), write("a" * 5000, ("", "", True))

    assert text_of(know(large), large) is None
    assert text_of(know(small), large) == "a" * 5000


def test_streams_that_keep_to_no_form() -> None:
    """Where each event has a form of its own, it is soon given up to learn them."""
    repetition = Repetition("content", read)
    events = [write("a", (f"{number}", "", True)) for number in range(10)]
    known = []
    for event in events:
        repetition.learn(event)
        known.append(text_of(repetition, event) is not None)

    assert known == [True] * 3 + [False] * 7


def test_forms_that_last_for_a_while() -> None:
    """A form that many events have had is followed by the next one, however often."""
    repetition = Repetition("content", read)
    known = []
    for number in range(10):
        event = write("a", (f"{number}", "", True))
        repetition.learn(event)
        known.append({text_of(repetition, event) for _ in range(10)})

    assert known == [{"a"}] * 10


@pytest.mark.parametrize("literal", [b"null", b'"\\ud83d"', b'["a"]'])
def test_what_is_looked_at(literal: bytes) -> None:
    """However many events look alike and tell no text, each is looked at a few times at most."""
    repetition = know(b'{"content":"a","x":1}')
    looked_at = 0

    def look(events: list[bytes]) -> Iterator[bytes]:
        nonlocal looked_at
        for event in events:
            looked_at += 1
            yield event

    events = [b'{"content":' + literal + b',"x":1}'] * 1000
    for left in range(len(events), 0, -1):
        assert not repetition.texts_of(look(events[:left]))
        repetition.learn(events[0])

    assert looked_at < 3 * len(events)
