"""The variables that a configuration refers to: the environment's, and those that it brings."""

from collections.abc import Iterator, Mapping

from ..domain.parameters import Json, kind_of
from .faults import ConfigError, Place
from .source import Source

PREFIX = "PROMPT_RESOLVER_"
"""What the names of our own variables begin with."""

_REFERENCE = "os.environ/"
OWN_VARIABLES = "environment_variables"
"""LiteLLM's block of variables that a configuration brings itself."""


def substitute(
    source: Source, values: Mapping[str, Json], variables: Mapping[str, str], place: Place = ()
) -> dict[str, Json]:
    """Return the values at a place with each `os.environ/NAME` in them replaced by the variable.

    Raises `ConfigError` for all those at once that are not set.
    """
    missing: list[str] = []

    def replace(value: Json, place: Place) -> Json:
        match value:
            case str() if value.startswith(_REFERENCE):
                name = value.removeprefix(_REFERENCE)
                if not variables.get(name):
                    problem = f"expected the variable {name} to be set, and it is not"
                    missing.append(source.at(place, problem))
                return variables.get(name)
            case dict():
                return {key: replace(each, (*place, key)) for key, each in value.items()}
            case list():
                return [replace(each, (*place, index)) for index, each in enumerate(value)]
            case _:
                return value

    replaced = {name: replace(value, (*place, name)) for name, value in values.items()}
    if missing:
        raise ConfigError(*missing)
    return replaced


def list_referred(value: Json) -> Iterator[str]:
    """Name the variables that a value refers to, wherever in it."""
    match value:
        case str() if value.startswith(_REFERENCE):
            yield value.removeprefix(_REFERENCE)
        case dict():
            for each in value.values():
                yield from list_referred(each)
        case list():
            for each in value:
                yield from list_referred(each)


def read_own(source: Source, block: Json, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of LiteLLM's `environment_variables`, which win over the environment.

    They are for this configuration alone: the process' environment stays as it is. Raises
    `ConfigError`.
    """
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError(source.at((OWN_VARIABLES,), f"expected a mapping, got {kind_of(block)}"))
    variables = {}
    for name, value in substitute(source, block, environ, (OWN_VARIABLES,)).items():
        # A number with an exponent may be a key of digits with an `e` among them.
        is_other = isinstance(value, float) and (value.is_integer() or "e" in repr(value))
        if value is None or isinstance(value, dict | list) or is_other:
            quoted = " in quotes" if is_other else ""
            problem = f"expected text{quoted}, got {kind_of(value)}"
            raise ConfigError(source.at((OWN_VARIABLES, name), problem))
        variables[name] = str(value)
    return variables
