"""JSON Schemas, for APIs that take those of closed objects alone."""

from ...domain.parameters import Json, JsonObject

_BY_NAME = frozenset({"properties", "$defs", "definitions"})
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})


def close_objects(schema: JsonObject) -> dict[str, Json]:
    """Return a schema whose objects have the fields that they name, and no others.

    What keeps to it keeps to the given one, too. What says itself whether there may be others stays
    as it is, and so do parts of which all have to hold at once: closed, no two of them could.
    """
    closed = {name: _close(name, value) for name, value in schema.items()}
    if "properties" in schema and "allOf" not in schema:
        closed.setdefault("additionalProperties", False)
    return closed


def _close(name: str, value: Json) -> Json:
    match value:
        case dict() if name in _BY_NAME:
            return {each: _close("items", inner) for each, inner in value.items()}
        case list() if name in _ALTERNATIVES:
            return [_close("items", inner) for inner in value]
        case dict() if name == "items":
            return close_objects(value)
        case _:
            return value
