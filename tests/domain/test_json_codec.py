"""JSON that comes from elsewhere and goes there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.json_codec import (
    JsonError,
    count_values,
    decode_json,
    encode_json,
    is_deeper,
)
from prompt_resolver_server.domain.parameters import Json

_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
)


@given(value=VALUES)
def test_round_trip(value: Json) -> None:
    """What is written is what any reader of JSON reads, and reads back the same."""
    document = encode_json(value)

    assert json.loads(document) == value
    assert decode_json(document) == value
    assert decode_json(json.dumps(value).encode()) == value


@given(value=st.dictionaries(_TEXTS, VALUES))
def test_sorted(value: dict[str, Json]) -> None:
    """Sorted, the same content is the same document, in whichever order it was put together."""
    backwards = dict(reversed(value.items()))

    assert encode_json(value, sort=True) == encode_json(backwards, sort=True)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[1]x",
        b"[NaN]",
        b"[1e999]",
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_no_json(document: bytes) -> None:
    """Whatever is no JSON is told by one error that does not quote it."""
    with pytest.raises(JsonError, match=r"^expected JSON$"):
        decode_json(document)


def test_unwritable() -> None:
    """What JSON cannot say is told by one error that does not quote it."""
    nested: Json = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, "\ud800"):
        with pytest.raises(JsonError, match=r"^expected what JSON can say$"):
            encode_json(value)


@given(value=VALUES)
def test_depth(value: Json) -> None:
    """Nesting is counted in lists and mappings, whichever is deepest."""

    def depth(each: Json) -> int:
        match each:
            case dict():
                return 1 + max(map(depth, each.values()), default=0)
            case list():
                return 1 + max(map(depth, each), default=0)
            case _:
                return 0

    for levels in range(4):
        assert is_deeper(value, levels) == (depth(value) > levels)


@given(value=VALUES, most=st.integers(0, 20))
def test_count(value: Json, most: int) -> None:
    """Whatever lists and mappings hold is counted, on each level, up to a limit."""

    def held(each: Json) -> int:
        match each:
            case dict():
                return len(each) + sum(map(held, each.values()))
            case list():
                return len(each) + sum(map(held, each))
            case _:
                return 0

    counted = count_values(value, most)

    assert (counted if counted <= most else most + 1) == min(held(value), most + 1)
