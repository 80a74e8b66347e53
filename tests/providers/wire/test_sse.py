"""Server-sent events are the same events however their bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.providers.dialect import ProtocolError
from prompt_resolver_server.providers.wire.sse import (
    MAX_EVENT_BYTES,
    ErrorEvent,
    SseParser,
)


def events_of(*chunks: bytes) -> list[bytes]:
    parser = SseParser()
    return [event for chunk in (*chunks, b"") for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b": comment\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"database: a\n\n", []),
        (b"\n\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"", []),
    ],
)
def test_events(stream: bytes, events: list[bytes]) -> None:
    """Lines of data, up to a blank line, are an event; everything else is not."""
    assert events_of(stream) == events


def test_empty_lines_of_data_count() -> None:
    """Lines of data that are empty are not free: they end at the same limit."""
    with pytest.raises(ProtocolError):
        events_of(*[b"data:\n" * 10_000] * 20)


@pytest.mark.parametrize(
    ("stream", "errors"),
    [
        (b"event: error\ndata: a\n\ndata: b\n\n", [True, False]),
        (b"data: a\nevent:error\n\n", [True]),
        (b"event: error\n\ndata: b\n\n", [False]),
        (b"event: message\ndata: a\n\n", [False]),
    ],
)
def test_error_events(stream: bytes, errors: list[bool]) -> None:
    """An event that is named an error is told from the others."""
    assert [isinstance(event, ErrorEvent) for event in events_of(stream)] == errors


@given(
    st.lists(
        st.sampled_from(
            [b"data: ", b"data", b":", b" ", b"a", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf"]
            + [b"data: a\n\n", b"event: error\n"]
        ),
        max_size=30,
    ),
    st.data(),
)
def test_any_cuts(pieces: list[bytes], data: st.DataObject) -> None:
    """Wherever a stream is cut into chunks, its events are the same."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert events_of(*[chunk for chunk in chunks if chunk]) == events_of(
        *([stream] if stream else [])
    )


@pytest.mark.parametrize("piece", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"])
def test_endless_event(piece: bytes) -> None:
    """A line, or an event, without an end is given up at a limit."""
    with pytest.raises(ProtocolError):
        events_of(*[piece] * (MAX_EVENT_BYTES // 1000 + 2))


def test_strays() -> None:
    """Lines that are of no event are kept as they are, as far as they are few."""
    parser = SseParser()
    for line in (b"data: a", b"", b"{", b' "error": 1', b"}", b": c", b"id: 1", b"retry: 1", b""):
        parser.feed(line + b"\n")
    many = SseParser()
    for _ in range(100):
        many.feed(b"x" * 1024 + b"\n")

    assert parser.strays == [b"{", b' "error": 1', b"}"]
    assert b"".join(many.strays) == b"x" * 64 * 1024
