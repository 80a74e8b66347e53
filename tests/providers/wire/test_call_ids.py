"""Ids of calls are spelled for those who take few characters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.providers.wire.call_ids import make_id, spell_id


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


def test_id_that_is_made() -> None:
    """An id of ours is another each time, and what the strictest take: nine letters or digits."""
    made = {make_id() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch("[a-z0-9]{9}", each) for each in made)
