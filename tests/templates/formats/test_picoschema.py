"""Picoschema is read as the JSON Schema that it is short for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.strict_yaml import parse
from prompt_resolver_server.templates.formats.fields import FieldError
from prompt_resolver_server.templates.formats.picoschema import read_schema


def read(yaml: str) -> Json:
    document = parse(f"s:{yaml}" if yaml.startswith("\n") else f"s: {yaml}", aliases=False)
    assert isinstance(document.value, dict)
    return read_schema(document.value["s"], ("s",))


def of(properties: dict[str, Json], *required: str, others: Json = False) -> Json:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": others,
    }
    return {**schema, "required": list(required)} if required else schema


TEXT: Json = {"type": "string"}


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("", None),
        ("string", TEXT),
        ("any", {}),
        ("number, how many", {"type": "number", "description": "how many"}),
        ("number,how many,   in all", {"type": "number", "description": "how many,   in all"}),
        ("{}", of({})),
        (
            "{a: boolean, b?: integer}",
            of({"a": {"type": "boolean"}, "b": {"type": ["integer", "null"]}}, "a"),
        ),
        ("{a: null}", of({"a": {"type": "null"}}, "a")),
        ("{a?: 'null, nothing'}", of({"a": {"type": "null", "description": "nothing"}})),
        ("{a?: any}", of({"a": {}})),
        ("{a: {b: string}}", of({"a": of({"b": TEXT}, "b")}, "a")),
        ("{a?: {b: string}}", of({"a": {**of({"b": TEXT}, "b"), "type": ["object", "null"]}})),  # type: ignore[dict-item]
        ("{a(array): string}", of({"a": {"type": "array", "items": TEXT}}, "a")),
        (
            "\n  a?(array, all (of) them): string, one",
            of(
                {
                    "a": {
                        "type": ["array", "null"],
                        "items": {"type": "string", "description": "one"},
                        "description": "all (of) them",
                    }
                }
            ),
        ),
        (
            "\n  a(array):\n    b?: number",
            of({"a": {"type": "array", "items": of({"b": {"type": ["number", "null"]}})}}, "a"),
        ),
        (
            "\n  a(object, where):\n    b: string",
            of({"a": {**of({"b": TEXT}, "b"), "description": "where"}}, "a"),  # type: ignore[dict-item]
        ),
        ("{a(enum): [X, Y]}", of({"a": {"enum": ["X", "Y"]}}, "a")),
        (
            "\n  a?(enum, which): [X, Y]",
            of({"a": {"enum": ["X", "Y", None], "description": "which"}}),
        ),
        ("{a?(enum): [X, null]}", of({"a": {"enum": ["X", None]}})),
        ("{(*): 'number, lucky'}", of({}, others={"type": "number", "description": "lucky"})),
        ("{a: string, (*): any}", of({"a": TEXT}, "a", others={})),
        ("{type: string}", TEXT),
        (
            "{type: object, properties: {a: {type: [string, 'null']}}}",
            {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        ),
        ("{properties: {a: {type: string}}}", {"type": "object", "properties": {"a": TEXT}}),
        (
            "{type: 'string, what kind'}",
            of({"type": {"type": "string", "description": "what kind"}}, "type"),
        ),
    ],
)
def test_reads(yaml: str, expected: Json) -> None:
    """Types, optional fields, lists, objects, choices, descriptions and wildcards are read."""
    assert read(yaml) == expected


@pytest.mark.parametrize(
    ("yaml", "problem"),
    [
        ("Customer", "expected one of the types any, boolean"),
        ("{a: Customer}", "expected one of the types any, boolean"),
        ("5", "expected a type or a mapping of fields, got a number"),
        ("{a: [string]}", "expected a type or a mapping of fields, got a list"),
        ("{a(list): string}", "expected array, object or enum in parentheses"),
        ("{a(array: string}", "expected a name such as"),
        ("{'?': string}", "expected a name such as"),
        ("{a(object): string}", "expected a mapping of fields, got text"),
        ("{a(enum): RED}", "expected a list of values, got text"),
        ("{a(enum): []}", "expected a list of values, got a list"),
        ("{a: string, a?: string}", "expected each field once"),
        ("{? 'a(x," + " " * 100_000 + "' : string}", "expected a name such as"),
        ("{a: " * 31 + "string" + "}" * 31, "expected at most 30 levels"),
        ("{a: " * 20 + "string" + "}" * 20, "expected at most 30 levels"),
    ],
)
def test_refuses(yaml: str, problem: str) -> None:
    """What is no schema is refused with what was expected and came."""
    with pytest.raises(FieldError) as caught:
        read(yaml)

    assert caught.value.problem.startswith(problem)


NAMES = st.text(max_size=4) | st.sampled_from(
    ["a", "b?", "c(array)", "d?(object, x)", "e(enum)", "(*)", "f(", "?", "type", "properties"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["string", "any, x", "null", "object"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_value(value: Json) -> None:
    """Any value at all is a schema, or refused with its place."""
    place: tuple[object, ...] = ("s",)
    try:
        schema = read_schema(value, ("s",))
        assert (schema is None) == (value is None)
    except FieldError as error:
        place = error.path

    assert place[0] == "s"
