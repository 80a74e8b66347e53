"""Variables are checked by the schema that their template has."""

import pytest

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.sandbox.protocol import Done, Refused, Unfit
from tests.support.sandbox import answer

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "tone": {"enum": ["calm", "brisk"]},
        "user": {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["id"],
            "additionalProperties": False,
        },
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("variables", "problems"),
    [
        ({"name": "Ada", "age": None, "tone": "calm", "unknown": 1}, {}),
        ({}, {"name": "missing"}),
        ({"name": "SECRET"}, {"name": "expected what its schema says by 'maxLength'"}),
        ({"name": 1}, {"name": "expected the type string"}),
        (
            {"name": "Ada", "age": "SECRET"},
            {"age": "expected one of the types integer, null"},
        ),
        (
            {"name": "Ada", "tone": "SECRET"},
            {"tone": "expected one of the values that its schema lists"},
        ),
        (
            {"name": "Ada", "user": {"tags": ["a", 2], "more": "SECRET"}},
            {
                "user": "expected what its schema says by 'additionalProperties'",
                "user.id": "missing",
                "user.tags[1]": "expected the type string",
            },
        ),
    ],
)
def test_variables(variables: dict[str, Json], problems: dict[str, str]) -> None:
    """Each variable that is not as it should be is told by its path, and no value is."""
    reply = answer("none", variables=variables, schema=SCHEMA)

    assert reply == (Unfit(problems) if problems else Done())


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": []},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.invalid/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": 1},
        {"$schema": []},
        {"properties": {"a": {"pattern": "a{99999999999999}"}}},
    ],
)
def test_broken(schema: dict[str, Json]) -> None:
    """A schema that is none, or that refers to elsewhere, is the template's fault."""
    reply = answer("none", variables={"a": "x"}, schema=schema)

    assert isinstance(reply, Refused)
    assert reply.fault == "invalid"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"properties": {"a": {"pattern": "(" * 500 + ")" * 500}}},
    ],
)
def test_without_an_end(schema: dict[str, Json]) -> None:
    """A schema that goes round in circles, or down without end, is over its budget."""
    reply = answer("none", variables={"a": "x"}, schema=schema)

    assert isinstance(reply, Refused)
    assert reply.fault == "budget"


def test_together_with_a_template() -> None:
    """What the template lacks and what the schema refuses are told together."""
    reply = answer(
        "jinja",
        "{{ a }}{{ b }}",
        variables={"b": 1},
        schema={"properties": {"b": {"type": "string"}}},
    )

    assert reply == Unfit({"a": "missing", "b": "expected the type string"})
