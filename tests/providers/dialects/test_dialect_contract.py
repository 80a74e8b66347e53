"""What every dialect promises of what comes back, tested on every dialect."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.answers import (
    Answer,
    Delta,
    ModelRequest,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, Reasoning, Text
from prompt_resolver_server.providers.assembler import Assembler
from prompt_resolver_server.providers.dialect import InBandError, ProtocolError
from prompt_resolver_server.providers.dialects import DIALECTS
from tests.support.dialects import SUBJECTS, Recording, Subject

STREAMS = [
    pytest.param(subject, recording, id=f"{subject.name}-{recording.name}")
    for subject in SUBJECTS
    for recording in subject.recordings
]
TOO_MUCH = 1024 * 1024 + 1


@pytest.fixture(params=SUBJECTS, scope="module", ids=lambda subject: str(subject.name))
def subject(request: pytest.FixtureRequest) -> Subject:
    subject: Subject = request.param
    return subject


def read(subject: Subject, portions: Sequence[bytes]) -> tuple[Answer, list[Delta]]:
    """Return the answer of a whole stream, and its deltas."""
    reader, deltas = subject.dialect.read_stream(subject.quirks), list[Delta]()
    for portion in portions:
        deltas += reader.feed(portion)
    if reader.finish is None:
        deltas += reader.feed(b"")
    assert reader.failure is None
    assert reader.finish is not None
    assembler = Assembler()
    assembler.add(deltas)
    return assembler.finish(reader.finish), deltas


def told(deltas: Sequence[Delta]) -> str:
    """Return all that deltas tell, in order, so that a part of them is a prefix of the whole."""
    pieces = []
    for delta in deltas:
        match delta:
            case Opened():
                pieces.append("<")
            case TextDelta() | RefusalDelta():
                pieces.append(delta.text)
            case ReasoningDelta(reasoning=thought):
                pieces += [thought.text, str(thought.signature or ""), str(thought.redacted or "")]
            case ToolCallDelta():
                pieces += [delta.id, delta.name, delta.arguments_json, str(delta.signature or "")]
    return "".join(pieces)


def test_every_dialect_is_tested() -> None:
    """There is no dialect that the contract suites do not know."""
    assert {type(subject.dialect) for subject in SUBJECTS} == {type(d) for d in DIALECTS.values()}


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
def test_complete(subject: Subject, recording: Recording) -> None:
    """A whole stream is an answer that opens once, first, and tells its usage at the end."""
    answer, deltas = read(subject, recording.portions)

    assert [isinstance(delta, Opened) for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    usage = answer.finish.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == subject.usage


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
def test_cut_at_every_byte(subject: Subject, recording: Recording) -> None:
    """A stream that ends before its last marker is no answer; what it told is a prefix of one."""
    whole = told(read(subject, recording.portions)[1])

    for offset in range(recording.ends_at):
        reader = subject.dialect.read_stream(subject.quirks)
        deltas = reader.feed(recording.body[:offset]) if offset else []
        deltas += reader.feed(b"")
        assert reader.finish is None, offset
        assert whole.startswith(told(deltas)), offset
    reader = subject.dialect.read_stream(subject.quirks)
    reader.feed(recording.body[: recording.ends_at])
    reader.feed(b"")
    assert reader.finish is not None


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
@given(data=st.data())
def test_any_portions(subject: Subject, recording: Recording, data: st.DataObject) -> None:
    """However a stream is cut into portions, it is the same answer."""
    body = recording.body
    cuts = sorted(data.draw(st.lists(st.integers(1, len(body) - 1), unique=True, max_size=12)))
    portions = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert read(subject, portions)[0] == read(subject, recording.portions)[0]


def test_texts_that_arrive_together(subject: Subject) -> None:
    """Texts that arrive together travel together; how much has arrived is counted."""
    reader = subject.dialect.read_stream(subject.quirks)

    deltas = reader.feed(b"".join(subject.streamed(("Hel", "lo"))))

    assert [delta for delta in deltas if isinstance(delta, TextDelta)] == [TextDelta("Hello")]
    assert reader.characters == 5
    assert reader.chunks >= 2


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
def test_failure_inside(subject: Subject, recording: Recording) -> None:
    """A failure that is reported inside of a stream ends it, wherever; what came before stays."""
    whole = told(read(subject, recording.portions)[1])

    for place in range(len(recording.portions)):
        reader, deltas = subject.dialect.read_stream(subject.quirks), list[Delta]()
        portions = [*recording.portions[:place], subject.in_band_error]
        for portion in [*portions, *recording.portions[place:]]:
            deltas += reader.feed(portion)
        if reader.finish is not None:
            # What follows an answer that is complete changes nothing.
            assert len(b"".join(recording.portions[:place])) >= recording.ends_at
            continue
        assert isinstance(reader.failure, InBandError), place
        assert reader.failure.reason is subject.in_band_reason
        assert whole.startswith(told(deltas))
        at_once = subject.dialect.read_stream(subject.quirks).feed(b"".join(portions))
        assert told(at_once) == told(deltas)


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
def test_nothing_after_the_end(subject: Subject, recording: Recording) -> None:
    """What comes after the end of an answer is no part of it."""
    reader = subject.dialect.read_stream(subject.quirks)
    for portion in [*recording.portions, b""]:
        reader.feed(portion)
    if reader.finish is None:
        reader.feed(b"")
    finish = reader.finish
    assert finish is not None

    again = reader.feed(recording.body)

    assert (again, reader.finish, reader.failure) == ([], finish, None)


def values_in(document: object) -> Iterator[object]:
    """Return every value in a JSON document, at any level."""
    yield document
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            yield from values_in(value)


def holds(document: object, arguments: str) -> bool:
    """Tell whether a JSON document has these arguments in it, as text or as what they say."""
    said = json.loads(arguments or "{}")
    return any(value in (arguments, said) for value in values_in(document))


@pytest.mark.parametrize(("subject", "recording"), STREAMS)
def test_sent_back(subject: Subject, recording: Recording) -> None:
    """What a model said goes back to it in the next turn: what it called, and what it sealed.

    What it sealed is text, so that doors that write JSON can carry it.
    """
    message = read(subject, recording.portions)[0].message
    said = Message(role="user", content=(Text("Hi"),))
    results = [
        Message(role="tool", content=(Text(f"result {number}"),), tool_call_id=call.id)
        for number, call in enumerate(message.tool_calls)
    ]

    for stream in (False, True):
        request = ModelRequest(
            model="m", messages=(said, message, *results, said), parameters=NO_PARAMETERS
        )
        wire = subject.dialect.build(request, stream=stream, quirks=subject.quirks)
        body = json.loads(wire.body)
        found = [value for value in values_in(body) if isinstance(value, str)]
        for part in message.content:
            match part:
                case Text():
                    assert part.text in found
                case Reasoning():
                    for sealed in (part.signature, part.redacted):
                        assert sealed is None or sealed.decode() in found
        for number, call in enumerate(message.tool_calls):
            assert call.name in found
            assert holds(body, call.arguments_json)
            assert call.signature is None or call.signature.decode() in found
            assert any(f"result {number}" in value for value in found)


def test_streamed_as_whole(subject: Subject) -> None:
    """A streamed answer is the same as a whole one, apart from its id."""
    streamed, _ = read(subject, subject.streamed(("Hel", "lo")))
    whole = subject.dialect.parse(subject.whole("Hello"))

    assert streamed.message == whole.message
    assert streamed.finish == whole.finish


def test_unknown_end(subject: Subject) -> None:
    """An end for a reason that is not known is another one, in the provider's word.

    A stream whose framing tells that it was changed is no answer.
    """
    known = subject.dialect.parse(subject.whole("Hello")).finish.raw_reason
    novel = "a_novel_reason"
    reader = subject.dialect.read_stream(subject.quirks)

    finish = subject.dialect.parse(replace_word(subject.whole("Hello"), known, novel)).finish
    for portion in subject.streamed(("Hel", "lo")):
        reader.feed(replace_word(portion, known, novel))
    reader.feed(b"")

    assert (finish.reason, finish.raw_reason) == ("other", novel)
    assert reader.finish == finish or isinstance(reader.failure, ProtocolError)


def replace_word(document: bytes, word: str, other: str) -> bytes:
    return document.replace(f'"{word}"'.encode(), f'"{other}"'.encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'"text"', b"<html></html>", b"\xff\xfe{}", b'{"a":' * 100_000],
)
def test_no_answer(subject: Subject, body: bytes) -> None:
    """A body that is no answer is `ProtocolError`, which quotes nothing of it."""
    with pytest.raises(ProtocolError) as caught:
        subject.dialect.parse(body)

    assert "html" not in str(caught.value)


def test_half_an_answer(subject: Subject) -> None:
    """An answer that is cut is `ProtocolError`, wherever."""
    body = subject.whole("Hello").rstrip()

    for offset in range(len(body)):
        with pytest.raises(ProtocolError):
            subject.dialect.parse(body[:offset])


@pytest.mark.parametrize("filler", [b"a", b"data: a", b"\x00", b'{"a":"'])
def test_endless(subject: Subject, filler: bytes) -> None:
    """An event without an end is a failure, before it takes much memory."""
    reader = subject.dialect.read_stream(subject.quirks)

    reader.feed(filler)
    for _ in range(32):
        reader.feed(b"a" * 64 * 1024)

    assert isinstance(reader.failure, ProtocolError)


@given(body=st.binary(max_size=300))
def test_anything(subject: Subject, body: bytes) -> None:
    """Whatever comes, it is an answer or a failure, and never another error."""
    reader = subject.dialect.read_stream(subject.quirks)

    reader.feed(body or b"x")
    reader.feed(b"")
    with suppress(ProtocolError, InBandError):
        subject.dialect.parse(body)
    subject.dialect.classify(400, body)

    assert reader.finish is None or reader.failure is None
