"""JSON that readers of YAML do not take is read all the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.strict_yaml import YamlError, parse

EMOJI = "\U0001f600"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(-1e300, 1e300)
    # What is no whole character cannot be written.
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=20), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("indent", [None, 2, "\t"])
@given(value=st.lists(VALUES, min_size=1, max_size=3))
def test_any_json(escaped: bool, indent: int | str | None, value: list[Json]) -> None:
    """Whatever JSON can say is read as JSON says it, in whichever form it was written."""
    written = json.dumps({"in": value}, ensure_ascii=escaped, indent=indent)

    read = parse(f"a: 1\ntools: {written}\nb: 2", aliases=False).value

    assert read == {"a": 1, "tools": {"in": value}, "b": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a: "\\ud83d\\ude00" # no\nb: 1', {"a": EMOJI, "b": 1}),
        ('- "\\ud83d\\ude00"\n- x: ["\\ud83d\\ude00"]', [EMOJI, {"x": [EMOJI]}]),
        ('a: {"b": 1e5, "c": "\\ud83d\\ude00"}', {"a": {"b": 1e5, "c": EMOJI}}),
        ('a: {b: c}\nd: "\\ud83d\\ude00"', {"a": {"b": "c"}, "d": EMOJI}),
        (f'a: {{"{"k" * 2_000}": 1}}', {"a": {"k" * 2_000: 1}}),
        ("a: '\\ud83d\\ude00'\nb: [\"\\ud83d\\ude00\"]", {"a": "\\ud83d\\ude00", "b": [EMOJI]}),
        ('a: |\n  b: "x"\nc: "\\ud83d\\ude00"', None),
    ],
)
def test_json_among_yaml(text: str, expected: Json) -> None:
    """JSON stands beside YAML, and what only looks like it in a text of YAML's stays that."""
    try:
        value = parse(text, aliases=False).value
    except YamlError:
        value = None

    assert value == expected


def test_lines_stay() -> None:
    """What follows JSON has the line that it stands in."""
    text = 'a: [\n  "\\ud83d\\ude00",\n  1\n] # no\nb:\n  c: 1\nd: [2, 3]'

    document = parse(text, aliases=False)

    assert [document.line((name,)) for name in "abd"] == [1, 5, 7]
    assert document.line(("b", "c")) == 6
    assert document.line(("a", 1)) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a: 1\nb: "\\ud83d"', 2),
        ('a: 1\nb: ["\\ude00\\ud83d"]', 2),
        ('a: ["\\ud83d\\ude00", {"b": 1, "b": 2}]', 1),
        ('a: ["\\ud83d\\ude00", 1e999]', 1),
        ('a: ["\\ud83d\\ude00", NaN]', 1),
        (f'a: ["\\ud83d\\ude00", {2**64}]', 1),
        (f'a: ["\\ud83d\\ude00", {"9" * 5_000}]', 1),
        ('a: ["\\ud83d\\ude00", ' + "[" * 70 + "]" * 70 + "]", 1),
        ('a: ["\\ud83d\\ude00"] b', 1),
        ('a: ["\\ud83d\\ude00"]\na: 1', 2),
        ('a: "\\ud83d\\ude00"\nb: [', 2),
    ],
)
def test_faults(text: str, line: int) -> None:
    """What YAML would refuse in JSON is refused, too, and so is what follows."""
    with pytest.raises(YamlError) as caught:
        parse(text, aliases=False)

    assert caught.value.line == line


@pytest.mark.parametrize(
    "text", ['a: "' * 30_000, "a: [[[\n" * 20_000, 'a: {"a": \n' * 12_000, ("a: " + " " * 120_000)]
)
def test_what_never_ends(text: str) -> None:
    """What begins like JSON over and over is refused as soon as anything else."""
    with pytest.raises(YamlError):
        parse(text + '"\\ud83d\\ude00', aliases=False)
