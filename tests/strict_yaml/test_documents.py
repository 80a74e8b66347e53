"""YAML is plain data, and its faults have lines."""

import json

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


@pytest.mark.parametrize(
    "text", ["2026-11-25", "2024-02-30", "2024-02-20 10:00:00", "no", "On", "1:30", "1_000", "="]
)
def test_words_are_text(text: str) -> None:
    """What YAML 1.1 takes for dates, truth values and numbers is read as text, keys included."""
    assert parse(f"d: {text}\n{text}: [{text}]", aliases=False).value == {"d": text, text: [text]}


@pytest.mark.parametrize("break_", ["\x85", "\u2028", "\u2029"])
def test_breaks_that_are_none(break_: str) -> None:
    """What ends a line in YAML 1.1 alone is a character like others, and begins no field."""
    text = (
        f"a: x{break_}seed: 5\nb: 'y{break_}z' # c{break_}d: 6\nn{break_}: \"{break_}\ue000\"\ne: 1"
    )

    document = parse(text.replace("seed: 5", "seed:5"), aliases=False)

    assert document.value == {
        "a": f"x{break_}seed:5",
        "b": f"y{break_}z",
        f"n{break_}": f"{break_}\ue000",
        "e": 1,
    }
    assert document.line(("e",)) == 4
    with pytest.raises(YamlError, match="mapping values are not allowed") as caught:
        parse(text, aliases=False)
    assert caught.value.line == 1


def test_breaks_that_nothing_can_stand_for() -> None:
    """A document that has every character already cannot have these."""
    everything = "".join(map(chr, range(0xE000, 0xF900)))

    with pytest.raises(YamlError, match="not valid YAML"):
        parse(f"a: {everything}\u2028", aliases=False)


def test_quotes_make_text() -> None:
    """What stands in quotes or in a block is text, whatever it would be without."""
    assert parse("""{a: '1', b: "true", "2": c}""", aliases=False).value == (
        {"a": "1", "b": "true", "2": "c"}
    )
    assert parse("a: |-\n  null\nb: >-\n  1", aliases=False).value == {"a": "null", "b": "1"}


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
        ("a: !!bool x", 1, "expected plain data, not a tag"),
        ('a: !!int ""', 1, "expected plain data, not a tag"),
        ("a: !!timestamp x", 1, "expected plain data, not a tag"),
        ("a: !!str x", 1, "expected plain data, not a tag"),
        ("a: !!seq []", 1, "expected plain data, not a tag"),
        ("a: 1\n!!int 5: x", 2, "expected plain data, not a tag"),
        ("!!map {}", 1, "expected plain data, not a tag"),
        ("b: 1\n<<: {a: 1}", 2, "expected nothing to merge (`<<`)"),
        ("1e400: x", 1, "expected a finite number"),
        ("true: x", 1, "expected text as a key"),
        ("~: x", 1, "expected text as a key"),
        ("a: \ud800", 1, "not valid YAML"),
        ("1: x", 1, "expected text as a key"),
        ("? [a]\n: b", 1, "expected text as a key"),
        ("a: b\nc: [1", 2, "not valid YAML: did not find expected ',' or ']'"),
        ("a: *unknown", 1, "not valid YAML"),
        ("a: \x00", 1, "not valid YAML"),
        ("[" * 5000, 1, "not valid YAML"),
        ("\n".join(" " * n + "a:" for n in range(70)), 66, "nested more than 64 levels deep"),
        ("a:\n  b: .inf", 2, "a.b: expected a finite number"),
        ("a:\n  - .nan", 2, "a.0: expected a finite number"),
        ("a:\n  b: 1e400", 2, "a.b: expected a finite number"),
        ("a: " + "9" * 5_000, 1, "a: expected a smaller number"),
        ("a: 0x" + "f" * 17, 1, "a: expected a smaller number"),
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
four: {"<<": *more}
"""

    assert parse(text, aliases=True).value == {
        "base": {"x": 1, "y": 2},
        "more": {"z": 3},
        "one": {"x": 1, "y": 4},
        "two": {"x": 5, "y": 2, "z": 3},
        "three": {"z": 3},
        "four": {"<<": {"z": 3}},
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


PIECES = st.sampled_from(
    [
        *("a", "b: ", "- ", "? ", ": ", ", ", "[", "]", "{", "}", "\n", "  ", "&x ", "*x", "<<: "),
        *("!!bool ", "!!int ", "!!timestamp ", "!!binary ", "!!set ", "! ", "!<x> ", "| ", "> "),
        *("0", "1", "9" * 40, "_", ":00", ".", "e", "0x", "0b", "0o", "-02-30", "no", "~", "nan"),
        *('"', "'", "\\", "\\ud83d\\ude00", "#", "\t", "\x85", "\u2028", "\u2029", "\ud800"),
    ]
)


@given(st.text() | st.lists(PIECES, max_size=12).map("".join), st.booleans())
def test_any_text(text: str, aliases: bool) -> None:
    """Any text at all is read as what JSON can say, or refused with a line of it."""
    line = 1
    try:
        json.dumps(parse(text, aliases=aliases).value, allow_nan=False)
    except YamlError as error:
        line = error.line

    assert 1 <= line <= len(text.splitlines()) + 1


def test_json_that_an_alias_repeats() -> None:
    """What only JSON can say is the same wherever an alias has it stand once more."""
    text = 'a: &x\n  k: "\\ud83d\\ude00"\nb: *x\nc:\n  <<: *x\n  d: 1'

    emoji = {"k": "\U0001f600"}
    assert parse(text, aliases=True).value == {"a": emoji, "b": emoji, "c": {**emoji, "d": 1}}
