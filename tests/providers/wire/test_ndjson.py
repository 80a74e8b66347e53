"""Lines of JSON are the same lines however their bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.providers.dialect import ProtocolError
from prompt_resolver_server.providers.wire.ndjson import MAX_LINE_BYTES, LineReader


def lines_of(*chunks: bytes) -> list[bytes]:
    reader = LineReader()
    return [line for chunk in (*chunks, b"") for line in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"{}\n[]\n", [b"{}", b"[]"]),
        (b"{}\r\n[]\r\n", [b"{}", b"[]"]),
        (b"\n\n {} \n \r\n[]", [b"{}", b"[]"]),
        (b'"\\n\\r"\n', [b'"\\n\\r"']),
        (b"{", [b"{"]),
        (b"\n", []),
        (b"", []),
    ],
)
def test_lines(stream: bytes, lines: list[bytes]) -> None:
    """A line is what stands before its end, or before the stream's, and is not blank."""
    assert lines_of(stream) == lines


@given(
    st.lists(st.sampled_from([b"{}", b" ", b"a", b"\n", b"\r", b"\r\n"]), max_size=30), st.data()
)
def test_any_cuts(pieces: list[bytes], data: st.DataObject) -> None:
    """Wherever a stream is cut into chunks, its lines are the same."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert lines_of(*[chunk for chunk in chunks if chunk]) == lines_of(stream)


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["open", "ended"])
@pytest.mark.parametrize("chunk", [1000, MAX_LINE_BYTES + 1])
def test_line_without_an_end(end: bytes, chunk: int) -> None:
    """A line may be as long as the limit, and no longer."""
    longest = b"a" * MAX_LINE_BYTES
    assert lines_of(longest + b"\n") == [longest]
    too_long = longest + b"a" + end

    with pytest.raises(ProtocolError, match="more than 1 MiB"):
        lines_of(*[too_long[at : at + chunk] for at in range(0, len(too_long), chunk)])


def test_nothing_is_kept() -> None:
    """What has been read of a line counts for no other."""
    half = b"a" * (MAX_LINE_BYTES - 1)

    assert len(lines_of(half, b"\n" + half, b"\n", half)) == 3
