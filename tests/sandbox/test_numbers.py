"""Numbers say the same whichever door they came through."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.sandbox.numbers import with_whole_numbers
from prompt_resolver_server.sandbox.protocol import Done, Language, Text, Unfit
from tests.support.sandbox import answer

NUMBERS = [
    *((3.0, "3"), (-0.0, "0"), (0.0, "0"), (-7.0, "-7"), (1e16, "10000000000000000")),
    *((2.0**53 + 2, "9007199254740994"), (1e20, "100000000000000000000"), (1.5, "1.5")),
    *((3, "3"), (2**63, "9223372036854775808"), (1.5e16, "15000000000000000")),
]


def written(language: Language, text: str, value: Json) -> str:
    reply = answer(language, text, variables={"v": value})
    assert isinstance(reply, Done), reply
    if language == "jinja":
        return reply.texts[0]
    (part,) = reply.turns[0].parts
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize(("number", "expected"), NUMBERS)
def test_whole_numbers(number: float, expected: str) -> None:
    """A whole number has no fraction and no exponent in any language, alone or within a value."""
    assert written("jinja", "{{ v }}", number) == expected
    assert written("handlebars", "{{v}}", number) == expected
    assert written("jinja", "{{ v }} {{ v.a|tojson }}", {"a": [number, "1.0"]}) == (
        f'{{"a": [{expected}, "1.0"]}} [{expected}, "1.0"]'
    )
    assert written("handlebars", "{{json v}}", {"a": [number]}) == f'{{"a":[{expected}]}}'


def test_numbers_of_templates() -> None:
    """What a template computes itself is as its language has it."""
    assert written("jinja", "{{ 3.0 }} {{ 6 / 2 }} {{ v / 2 }} {{ v|float }}", 6.0) == (
        "3.0 3.0 3.0 6.0"
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("jinja", "{{ v }}"),
        ("jinja", "{% if v %}x{% endif %}"),
        ("handlebars", "{{v}}"),
        ("handlebars", "{{#if v}}x{{/if}}"),
    ],
)
def test_numbers_that_are_not_finite(language: Language, text: str, number: float) -> None:
    """A number that JSON lacks is no value, wherever it stands, and its variable is named."""
    values: list[Json] = [number, [1, {"a": number}]]
    for value in values:
        reply = answer(language, text, variables={"v": value, "other": 1})
        assert reply == Unfit({"v": "expected finite numbers"})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.integers()
    # Beyond it whole numbers have an exponent.
    | st.floats(-1e20, 1e20)
    | st.integers(-(2**60), 2**60).map(float),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(VALUES)
def test_nothing_else_changes(value: Json) -> None:
    """A value is equal to what it was, its kinds but for whole numbers, too."""
    read = with_whole_numbers(value)

    assert read == value
    assert json.dumps(read) == json.dumps(with_whole_numbers(read))
    if isinstance(value, float):
        assert isinstance(read, int) == value.is_integer()
    else:
        assert type(read) is type(value)
