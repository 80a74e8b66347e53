"""Parameters, and which of them win."""

import pytest

from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Json, Parameters, take_limit


def test_over() -> None:
    """What is set wins, and what is not is taken from the defaults, down to the extra ones."""
    wins = Parameters(temperature=0.1, extra={"a": 1})
    defaults = Parameters(temperature=0.9, seed=7, extra={"a": 2, "b": 3})

    assert wins.over(defaults) == Parameters(temperature=0.1, seed=7, extra={"a": 1, "b": 3})


def test_over_nothing() -> None:
    """Where one side says nothing the other is returned itself: answers are known again by it."""
    some = Parameters(temperature=0.1)

    assert some.over(NO_PARAMETERS) is some
    assert some.over(Parameters()) is some
    assert NO_PARAMETERS.over(some) is some


def test_name_of_the_limit() -> None:
    """A limit goes by the name that whoever set it has for it, whatever other parameters say."""
    new, old = (
        Parameters(max_tokens=9, limit_name="max_completion_tokens"),
        Parameters(max_tokens=5),
    )

    assert new.over(old).limit_name == Parameters(seed=7).over(new).limit_name == new.limit_name
    assert old.over(new) == old
    assert new.names() == old.names() == ("max_tokens",)


@pytest.mark.parametrize("limit", [0, -1, 2**31, 1.5, True, "9", None])
def test_limit_that_is_none(limit: Json) -> None:
    """What is no limit stays with the extra parameters, for those to refuse who know it."""
    parameters = Parameters(max_tokens=5, extra={"max_completion_tokens": limit})

    assert take_limit(parameters) is parameters
