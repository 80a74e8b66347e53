"""A value of any form travels as the only field of an object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.providers.wrapping import Unwrapper

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def unwrap(*pieces: str) -> str:
    unwrapper = Unwrapper()
    return "".join([*map(unwrapper.feed, pieces), unwrapper.end()])


@given(value=VALUES, indent=st.sampled_from([None, 0, 2]), data=st.data())
def test_any_value_in_any_pieces(value: object, indent: int | None, data: st.DataObject) -> None:
    """Whatever the value is, and however its JSON is laid out and cut, it comes out as it is."""
    whole = json.dumps({"answer": value}, indent=indent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert json.loads(unwrap(*pieces)) == value


@pytest.mark.parametrize("text", ["", "{}", '{"other": 1}', "no JSON", '{"a": 1} ', "x" * 200])
def test_what_is_not_wrapped(text: str) -> None:
    """What is no such object is passed on as it is."""
    assert unwrap(*text) == text


def test_as_it_arrives() -> None:
    """What is known to be the value's is told at once."""
    unwrapper = Unwrapper()

    assert unwrapper.feed('{"answer": {"a":') == '{"a":'
    assert unwrapper.feed(" 1}") == " 1"
    assert unwrapper.feed(', "b": {}}') == '}, "b": {'
    assert unwrapper.feed("}") == ""
    assert unwrapper.end() == "}}"
