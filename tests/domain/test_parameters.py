"""Parameters, and which of them win."""

from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Parameters


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
