"""Where something stands in a file, as people would point at it."""

import pytest

from prompt_resolver_server.commands.lint.findings import NOWHERE, Place
from prompt_resolver_server.commands.lint.source import Source


def test_variables_and_keys() -> None:
    """A variable is where its braces begin, and a key where its name does."""
    source = Source(b"---\n  - model: m\n---\n{{ other }} {{ name }}")

    assert source.find_variable("name") == Place(4, 13)
    assert source.find_key("model") == Place(2, 5)
    assert source.find_variable("nobody") == source.find_key("nobody") == NOWHERE


def test_lines_of_texts() -> None:
    """A line of a text is found by the whole of it, indented or within a line of the file."""
    source = Source(b"---\n---\n<user>\n  one\n\n    two  \n</user>\n<user>two\nthree</user>")

    assert source.find_line("one\n\n  two", 3) == Place(6)
    assert source.find_line("two\nthree", 2) == Place(9)
    assert source.find_line("two\nfour", 2) == NOWHERE


@pytest.mark.parametrize("text", ["{" * 500_000, "\n" * 500_000, "{a" * 250_000, " " * 500_000])
def test_what_is_not_there(text: str) -> None:
    """What a file lacks is looked for in one pass, whatever is there instead."""
    source = Source(text.encode())

    assert source.find_variable("name") == source.find_key("name") == NOWHERE
