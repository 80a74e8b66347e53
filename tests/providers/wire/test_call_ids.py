"""Ids of calls are spelled for those who take few characters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.prompts import Message, ToolCall
from prompt_resolver_server.providers.wire.call_ids import spell_id, tell_apart


@pytest.mark.parametrize("call_id", ["toolu_01A-b", "call_" + "x" * 59])
def test_id_that_will_do(call_id: str) -> None:
    """An id of the provider's own stays as it is."""
    assert spell_id(call_id) == call_id


@given(ids=st.lists(st.text(st.characters(codec="utf-8")), unique=True))
def test_any_others(ids: list[str]) -> None:
    """Any other becomes one that is taken, the same each time, and never another one's."""
    spelled = [spell_id(each) for each in ids]

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", each) for each in spelled)
    assert len(set(spelled)) == len(ids)
    assert spelled == [spell_id(each) for each in ids]


def calling(*ids: str) -> Message:
    calls = (ToolCall(id=each, name="f", arguments_json="") for each in ids)
    return Message(role="assistant", tool_calls=tuple(calls))


def answering(call_id: str) -> Message:
    return Message(role="tool", tool_call_id=call_id)


def test_ids_that_differ() -> None:
    """A conversation whose calls have ids of their own stays as it is."""
    messages = [calling("a", "b"), answering("b"), answering("a"), calling("c")]

    assert tell_apart(messages) is messages


@given(ids=st.lists(st.lists(st.sampled_from(["", "a", "a_2", "b"]), min_size=1), max_size=5))
def test_ids_that_are_alike(ids: list[list[str]]) -> None:
    """No two calls have one id, results go to their calls in order, and a stray one stays."""
    turns = [[calling(*each), *map(answering, each)] for each in ids]
    told = tell_apart([message for turn in turns for message in [*turn, answering("z")]])

    calls = [call.id for message in told for call in message.tool_calls]
    results = [message.tool_call_id for message in told if message.role == "tool"]
    assert len(set(calls)) == len(calls)
    assert [each for each in results if each != "z"] == calls
    assert results.count("z") == len(ids)


def test_calls_of_one_turn() -> None:
    """Results go to the calls of their turn, which may be in several messages in a row."""
    said = [calling("a"), answering("a"), calling("a"), calling("b"), answering("a")]

    told = tell_apart([*said, answering("b")])

    assert [call.id for message in told for call in message.tool_calls] == ["a", "a_2", "b"]
    results = [message.tool_call_id for message in told if message.role == "tool"]
    assert results == ["a", "a_2", "b"]
