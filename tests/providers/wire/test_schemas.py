"""Schemas of objects that have no other fields than those that are named."""

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.providers.wire.schemas import close_objects

NAMED: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: dict[str, Json] = {**NAMED, "additionalProperties": False}


def test_wherever_they_are() -> None:
    """Objects are closed in fields, in lists, among alternatives and in definitions."""
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": NAMED}, "either": {"anyOf": [NAMED]}},
        "$defs": {"properties": NAMED},
    }

    assert close_objects(schema) == {
        "type": "object",
        "properties": {"list": {"type": "array", "items": CLOSED}, "either": {"anyOf": [CLOSED]}},
        "$defs": {"properties": CLOSED},
        "additionalProperties": False,
    }


def test_what_stays() -> None:
    """What would mean something else stays, and so does what only looks like a schema."""
    schemas: list[dict[str, Json]] = [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {**NAMED, "additionalProperties": True},
        {"allOf": [NAMED, {"properties": {"b": {}}}]},
        {**NAMED, "allOf": [{"properties": {"b": {}}}]},
        {"enum": [{"properties": {}}], "default": {"properties": {}}},
        {"type": "array", "items": True},
    ]

    assert [close_objects(schema) for schema in schemas] == schemas


def test_given_schema_is_left_alone() -> None:
    """A template's schema serves many calls, and is not changed by one."""
    schema: dict[str, Json] = {"properties": {"a": {**NAMED}}}

    close_objects(schema)

    assert schema == {"properties": {"a": NAMED}}
