"""What stands without quotes is what YAML 1.2 says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.strict_yaml.scalars import NUMBER, NumberError, read_plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        *(("0", 0), ("-0", 0), ("+12", 12), ("010", 10), ("0o17", 15), ("0x1F", 31)),
        *((str(2**64 - 1), 2**64 - 1), (str(-(2**63)), -(2**63))),
        *(("1.", 1.0), (".5", 0.5), ("-1.50", -1.5), ("1e5", 1e5), ("+.1E-2", 1e-3)),
    ],
)
def test_words_and_numbers(text: str, expected: Json) -> None:
    """Null, the truth values and numbers have the spellings of YAML 1.2's core schema."""
    read = read_plain(text)

    assert (read, type(read)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    [
        *("no", "Yes", "on", "OFF", "y", "nULL", "tRue", "none", "nil"),
        *("1:30", "1:00:00.5", "1_000", "0b11", "0O17", "0X1F", "+0x1F", "-0o7", "1e", "e5", "."),
        *("-", "+", "--1", "1.2.3", "2024-02-30", "12:30", "-.INFx", ".nanx", "\u0661"),
    ],
)
def test_text(text: str) -> None:
    """Everything else is text, whatever YAML 1.1 takes it for."""
    assert read_plain(text) == text
    assert not NUMBER.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "a finite") for text in (".inf", "-.Inf", "+.INF", ".nan", ".NaN", "-1e999")),
        *((text, "a smaller") for text in (str(2**64), str(-(2**63) - 1), "9" * 9_999)),
        *((text, "a smaller") for text in ("0x" + "F" * 17, "0o" + "7" * 28, "0" * 31)),
    ],
)
def test_numbers_that_cannot_be_served(text: str, expected: str) -> None:
    """A number that JSON lacks, or that no library could read, is refused."""
    with pytest.raises(NumberError, match=f"^expected {expected} number$"):
        read_plain(text)


@given(st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_any_number(number: float) -> None:
    """Any number is read as it is written in Python and in JSON."""
    assert read_plain(repr(number)) == number


@given(st.text("+-.0123456789eExXoabfn_:", max_size=12))
def test_any_text(text: str) -> None:
    """Whatever is neither a number nor a word is itself."""
    try:
        read = read_plain(text)
    except NumberError:
        assert NUMBER.fullmatch(text)
        return

    if isinstance(read, int | float):
        assert NUMBER.fullmatch(text)
        assert math.isfinite(read)
    else:
        assert read == (text or None)
