"""YAML is plain data, and its faults have lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.strict_yaml import YamlError, parse


def test_tells_lines() -> None:
    """Every value knows the line that it stands in."""
    document = parse("a: 1\nb:\n  - x\n  - c: 2\n", aliases=False)

    assert document.value == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.line(("a",)) == 1
    assert document.line(("b", 1, "c")) == 4
    assert document.line(("b", 1, "missing")) == 4
    assert document.line(("missing",)) == 1


def test_empty_document() -> None:
    """An empty document is an empty mapping."""
    assert parse("# nothing\n", aliases=False).value == {}


def test_dates_are_text() -> None:
    """YAML's own dates, which JSON lacks, are read as text."""
    assert parse("d: 2026-11-25", aliases=False).value == {"d": "2026-11-25"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2", 2, "expected each key once, 'a' comes twice"),
        ("a: {x: 1, x: 2}", 1, "expected each key once, 'x' comes twice"),
        ("a: &x 1\nb: *x", 1, "expected no aliases"),
        ("a: !!python/object/apply:os.system [x]", 1, "expected plain data, not a tag"),
        ("a: !custom x", 1, "expected plain data, not a tag"),
        ("a: !custom {}", 1, "expected plain data, not a tag"),
        ("a: !!binary aGk=", 1, "expected plain data, not a tag"),
        ("a: !!int x", 1, "expected plain data, not a tag"),
        ("1: x", 1, "expected text as a key"),
        ("? [a]\n: b", 1, "expected text as a key"),
        ("a: b\nc: [1", 2, "not valid YAML: did not find expected ',' or ']'"),
        ("a: *unknown", 1, "not valid YAML"),
        ("a: \x00", 1, "not valid YAML"),
        ("[" * 5000, 1, "not valid YAML"),
        ("\n".join(" " * n + "a:" for n in range(70)), 66, "nested more than 64 levels deep"),
        ("a:\n  b: .inf", 2, "a.b: expected a finite number"),
        ("a:\n  - .nan", 2, "a.0: expected a finite number"),
        (f"a: {2**64}", 1, "a: expected a smaller number"),
        (f"a: -{2**63 + 1}", 1, "a: expected a smaller number"),
    ],
)
def test_faults(text: str, line: int, message: str) -> None:
    """What is refused is refused with its line, and without a word of the document."""
    with pytest.raises(YamlError) as caught:
        parse(text, aliases=False)

    assert caught.value.message.startswith(message)
    assert caught.value.line == line


def test_aliases_where_they_are_allowed() -> None:
    """Where aliases are allowed, they and merges work as YAML says."""
    text = """
base: &base {x: 1, y: 2}
more: &more {z: 3}
one: {<<: *base, y: 4}
two: {<<: [*more, *base], x: 5}
three: *more
"""

    assert parse(text, aliases=True).value == {
        "base": {"x": 1, "y": 2},
        "more": {"z": 3},
        "one": {"x": 1, "y": 4},
        "two": {"x": 5, "y": 2, "z": 3},
        "three": {"z": 3},
    }


@pytest.mark.parametrize("text", ["a: {<<: 1}", "a: {<<: [1]}"])
def test_merges_of_what_is_no_mapping(text: str) -> None:
    """Only mappings can be merged."""
    with pytest.raises(YamlError, match="expected mappings to merge"):
        parse(text, aliases=True)


def test_document_that_explodes() -> None:
    """Aliases of aliases of aliases end at a limit, not in the machine's memory."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]")

    with pytest.raises(YamlError, match="more than 100000 values"):
        parse("\n".join(lines), aliases=True)


def test_alias_of_itself() -> None:
    """A value that contains itself has no end, and is refused."""
    with pytest.raises(YamlError, match="nested more than"):
        parse("a: &a [*a]", aliases=True)


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text at all is read, or refused with a line of it."""
    line = 1
    try:
        parse(text, aliases=False)
    except YamlError as error:
        line = error.line

    assert 1 <= line <= len(text.splitlines()) + 1
