"""Values that stand in for those of callers, so that a template can be tried."""

from ...domain.parameters import Json, JsonObject
from ...domain.prompts import Template
from ...rendering import find_variables
from .texts import find_references

_MAX_LEVELS = 8
_TEXT = "sample"


def sample_variables(template: Template, otherwise: Json = _TEXT) -> dict[str, Json]:
    """Return a value for each of a template's variables: what its schema asks for.

    Where that asks for no kind of value it is `otherwise`.
    """
    properties = (template.schema or {}).get("properties")
    declared = properties if isinstance(properties, dict) else {}
    references = (each.name for each in find_references(template))
    names = (*declared, *find_variables(template), *references)
    return {
        name: _sample(declared.get(name), otherwise)
        for name in names
        if name not in template.defaults
    }


def _sample(schema: Json, otherwise: Json, level: int = 0) -> Json:
    if not isinstance(schema, dict) or level > _MAX_LEVELS:
        return otherwise
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return [_sample(schema.get("items"), otherwise, level + 1)]
        case "object":
            properties = schema.get("properties")
            fields = properties if isinstance(properties, dict) else {}
            return {name: _sample(each, otherwise, level + 1) for name, each in fields.items()}
        case "string":
            return _TEXT
        case _:
            return otherwise


def _number(schema: JsonObject) -> Json:
    least = schema.get("minimum")
    return least if isinstance(least, int | float) else 1
