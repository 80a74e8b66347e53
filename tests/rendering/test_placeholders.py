"""The caller's messages stand where the template has room for them."""

import pytest

from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.prompts import Message, MessagePolicy, Placeholder, Role, Text
from prompt_resolver_server.rendering import join


def said(text: str, role: Role = "user") -> Message:
    return Message(role=role, content=(Text(text),))


TEMPLATE = (said("S", "system"), said("U"))
GIVEN = (said("1"), said("2", "assistant"))


def joined(
    *placeholders: tuple[str, int],
    named: dict[str, tuple[Message, ...]] | None = None,
    messages: tuple[Message, ...] = (),
    policy: MessagePolicy = "append",
) -> str:
    places = [Placeholder(*each) for each in placeholders]
    result = join(TEMPLATE, places, named=named or {}, messages=messages, policy=policy)
    return "".join(message.text for message in result)


def test_without_placeholders() -> None:
    """Messages follow a template that has no placeholder."""
    assert joined(messages=GIVEN) == "SU12"


@pytest.mark.parametrize(("position", "expected"), [(0, "12SU"), (1, "S12U"), (2, "SU12")])
def test_the_only_one(position: int, expected: str) -> None:
    """Messages fill the only placeholder, wherever it stands, and named ones do the same."""
    assert joined(("history", position), messages=GIVEN) == expected
    assert joined(("history", position), named={"history": GIVEN}) == expected


def test_the_last_one() -> None:
    """Messages fill the last of several placeholders, after what it is given by its name."""
    places = (("history", 2), ("examples", 1))

    assert joined(*places, messages=GIVEN) == "SU12"
    assert joined(*places, messages=GIVEN, named={"examples": (said("e"),)}) == "SeU12"
    assert joined(*places, messages=GIVEN, named={"history": (said("h"),)}) == "SUh12"


def test_left_out() -> None:
    """A placeholder that nothing fills is left out."""
    assert joined(("a", 0), ("b", 1)) == "SU"
    assert joined(("a", 0), ("b", 1), named={"b": ()}) == "SU"


def test_one_name_twice() -> None:
    """What is given by a name stands in each of its places."""
    assert joined(("a", 0), ("a", 2), named={"a": GIVEN}) == "12SU12"


def test_many_places() -> None:
    """A template that has a message stand in many places makes no more of it than may be."""
    places = [("a", 0)] * 1000

    assert joined(*places, named={"a": GIVEN}) == "12" * 1000 + "SU"
    with pytest.raises(CallError, match=r"placeholders\.a: expected at most 4194304 bytes"):
        joined(*places, named={"a": (said("x" * 5000),)})


def test_unknown_name() -> None:
    """Messages for a placeholder that the template lacks are refused, not lost."""
    with pytest.raises(CallError, match=r"placeholders\.b: expected a placeholder"):
        joined(("a", 0), named={"a": GIVEN, "b": ()})


@pytest.mark.parametrize(("policy", "expected"), [("ignore", "SU"), ("without_user_turn", "SU")])
def test_policy(policy: MessagePolicy, expected: str) -> None:
    """The policy decides about messages, and not about what placeholders are given by name."""
    assert joined(("a", 2), messages=GIVEN, policy=policy) == expected
    assert joined(("a", 2), named={"a": GIVEN}, policy=policy) == "SU12"
