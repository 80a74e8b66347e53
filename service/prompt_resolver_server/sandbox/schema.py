"""Checks variables by a template's JSON Schema. Refers to nothing outside of the schema."""

from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from ..domain.parameters import JsonObject
from .faults import RefusedError

_MAX_PROBLEMS = 50


class VariablesSchema:
    """A schema of the object of all variables. Raises `RefusedError` for one that is broken."""

    def __init__(self, schema: JsonObject) -> None:
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
        except SchemaError:
            raise _broken() from None
        # An empty registry fetches nothing.
        registry: Registry[Any] = Registry()
        self._validator: Validator = kind(dict(schema), registry=registry)

    def find_problems(self, variables: JsonObject) -> dict[str, str]:
        """Return what is wrong, by the path of each variable, and never a value."""
        problems: dict[str, str] = {}
        try:
            for error in _told(self._validator.iter_errors(variables)):
                for path, problem in _describe(error):
                    problems.setdefault(path, problem)
                if len(problems) > _MAX_PROBLEMS:
                    break
        except (Unresolvable, UnknownType, ValueError, TypeError):
            # Such as a reference to elsewhere, or a pattern that is none.
            raise _broken() from None
        return problems


def _told(errors: Iterable[ValidationError]) -> Iterable[ValidationError]:
    for error in errors:
        # Variables that nobody asked for are ignored, in a template with a schema as in any other.
        if error.validator == "additionalProperties" and not error.absolute_path:
            continue
        yield error


def _describe(error: ValidationError) -> Iterable[tuple[str, str]]:
    path, said = _write_path(error.absolute_path), error.validator_value
    match error.validator, said:
        case "required", list():
            instance = error.instance if isinstance(error.instance, dict) else {}
            for name in said:
                if name not in instance:
                    yield f"{path}.{name}" if path else str(name), "missing"
        case "type", str():
            yield path, f"expected the type {said}"
        case "type", list():
            yield path, f"expected one of the types {', '.join(map(str, said))}"
        case (("enum" | "const"), _):
            yield path, "expected one of the values that its schema lists"
        case keyword, _:
            yield path, f"expected what its schema says by {keyword!r}"


def _write_path(path: Iterable[str | int]) -> str:
    written = ""
    for step in path:
        written += f"[{step}]" if isinstance(step, int) else f".{step}"
    return written.removeprefix(".")


def _broken() -> RefusedError:
    return RefusedError("invalid", "expected a JSON Schema of its variables")
