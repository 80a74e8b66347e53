"""Reads the configuration from one YAML file and the environment.

This is the only place that reads the environment. Every fault is told with its place in the file,
with what was expected and what kind of thing came, never with a value: any value may be a secret.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..parameters import Json, kind_of
from ..strict_yaml import Document, YamlError, parse
from .environment import Environment
from .files import Look, look_if_there, read_whole
from .model import AnyStoreSettings, ServerSettings, Settings, of_stores
from .secrets import Secret
from .unused import FOREIGN_BLOCKS, list_unused

_PREFIX = "PROMPT_RESOLVER_"
_REFERENCE = "os.environ/"
_VARIABLES = "environment_variables"
_MASTER_KEY = "LITELLM_MASTER_KEY"
Place = tuple[str | int, ...]
Looks: TypeAlias = tuple[Look | None, Look | None]
"""What the configuration's file looks like, and the one of certificates; None for one that is not
there."""

# What pydantic's faults expect, in the words of the file.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "is_instance_of": "text",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_too_short": "a name",
    "string_type": "text",
    "tuple_type": "a list",
}


class ConfigError(Exception):
    """A configuration that cannot be used: one line for each fault."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where it comes from.

    `path` is that of its file, if there is one, and `folder` is where its relative paths start;
    `without_effect` names what in it does nothing, and `absent_keys` the keys whose files are not
    there yet. `looks` tells what its files looked like when it was read; see `look`. `again` reads
    it once more, from the file as it is by then; see `load_settings`.
    """

    settings: Settings
    environment: Environment
    path: Path | None
    folder: Path
    looks: Looks
    again: Callable[[], "Loaded"]
    without_effect: tuple[str, ...]
    absent_keys: tuple[str, ...]
    source: "_Source"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the file."""
        return not self.source.document.value

    def look(self) -> Looks:
        """Return what the files look like that it is read from.

        It takes microseconds: less than handing it to a thread would.
        """
        file = look_if_there(self.path) if self.path is not None else None
        return file, _look_at_authorities(self.settings, self.folder)

    def fault(self, place: Place, problem: str) -> ConfigError:
        """Return the error for a value that turned out to be unusable, with its place."""
        return ConfigError(self.source.at(place, problem))


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    stores: tuple[type[AnyStoreSettings], ...],
) -> Loaded:
    """Return the configuration of a file, or the defaults, under what the environment says.

    `stores` are the settings of the kinds of stores that there are. `overrides` are keys of the
    `server` block that win over both. Raises `ConfigError`.
    """
    again = partial(load_settings, path, environ, dict(overrides or {}), stores=stores)
    if path is None and (name := environ.get(f"{_PREFIX}CONFIG")):
        path = Path(name)
    source = _Source(path)
    written = source.document.value
    if not isinstance(written, dict):
        raise ConfigError(source.at((), f"expected a mapping, got {kind_of(written)}"))
    own = _read_variables(source, written.get(_VARIABLES), environ)
    variables = {**environ, **own} if own else environ
    values = _substitute(
        source, {name: block for name, block in written.items() if name != _VARIABLES}, variables
    )
    values = {name: block for name, block in values.items() if block is not None}
    without_effect = _take_out_foreign_blocks(values)
    _overlay_server(source, values, environ, overrides or {})
    _overlay_master_key(source, values, variables)
    try:
        settings = of_stores(stores).model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        raise ConfigError(*(source.describe(each, values) for each in details)) from None
    without_effect.extend(list_unused(settings))
    # Not where links lead: a volume of Kubernetes has another folder there with each update.
    folder = path.absolute().parent if path is not None else Path.cwd()
    return Loaded(
        settings=settings,
        environment=Environment(variables),
        path=path,
        folder=folder,
        looks=(source.look, _look_at_authorities(settings, folder)),
        again=again,
        without_effect=tuple(without_effect),
        absent_keys=tuple(_list_absent_keys(settings)),
        source=source,
    )


class _Source:
    """A file's content, for telling where something stands in it."""

    def __init__(self, path: Path | None) -> None:
        self._name = str(path) if path is not None else "defaults"
        self._overlaid: dict[Place, str] = {}
        self.document = Document({}, {})
        self.look: Look | None = None
        if path is None:
            return
        try:
            text, self.look = read_whole(path)
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: expected UTF-8") from None
        except OSError as error:
            raise ConfigError(f"{path}: expected a readable file: {error.strerror}") from None
        try:
            self.document = parse(text, aliases=True)
        except YamlError as error:
            raise ConfigError(f"{path}:{error.line}: {error.message}") from None

    def overlay(self, place: Place, origin: str) -> None:
        """Note that the value at a place does not come from the file."""
        self._overlaid[place] = origin

    def at(self, place: Place, problem: str) -> str:
        """Return a line about a place: where it is, and what is wrong."""
        path = ".".join(map(str, place))
        if origin := self._overlaid.get(place[:2]):
            return f"{origin}: {problem}"
        if not self.document.lines:
            return f"{path}: {problem}"
        return f"{self._name}:{self.document.line(place)}: {path}: {problem}".replace(": : ", ": ")

    def describe(self, error: ErrorDetails, values: Json) -> str:
        """Return the line for a fault that validation found."""
        place: Place = tuple(error["loc"])
        if place[:1] == ("stores",) and len(place) > 3:
            # What pydantic puts in between is the store's type, which is no key of the file.
            place = (*place[:2], *place[3:])
        if place and place[-1] == "[key]":
            return self.at(
                place[:-1],
                "expected letters, digits, '_', '.' and '-' in a name, in lower case for providers",
            )
        match error["type"]:
            case "missing":
                return self.at(place[:-1], f"expected the key {place[-1]!r}")
            case "union_tag_not_found":
                return self.at(place, "expected the key 'type'")
            case "union_tag_invalid":
                known = error["ctx"]["expected_tags"]
                return self.at((*place, "type"), f"expected one of {known}")
            case "extra_forbidden":
                return self.at(place, _unknown_key(place))
            case "value_error":
                return self.at(place, str(error["ctx"]["error"]))
            case kind:
                expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ")
                came = kind_of(_value_at(values, place))
                return self.at(place, f"expected {expected}, got {came}")


def _look_at_authorities(settings: Settings, folder: Path) -> Look | None:
    ca_file = settings.server.ca_file
    return look_if_there(folder / ca_file) if ca_file is not None else None


def _unknown_key(place: Place) -> str:
    known = list((Settings if len(place) == 1 else ServerSettings).model_fields)
    if len(place) > 1 and place[0] != "server":
        return "unknown key"
    close = difflib.get_close_matches(str(place[-1]), known, 1)
    meant = f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(known)}"
    return f"unknown key{meant}"


def _value_at(values: Json, place: Place) -> Json:
    for step in place:
        if isinstance(values, dict) and isinstance(step, str):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
    return values


def _substitute(
    source: _Source, values: Mapping[str, Json], environ: Mapping[str, str], place: Place = ()
) -> dict[str, Json]:
    """Replace every `os.environ/NAME` by the variable. Raises for all those that are not set."""
    missing: list[str] = []

    def replace(value: Json, place: Place) -> Json:
        match value:
            case str() if value.startswith(_REFERENCE):
                name = value.removeprefix(_REFERENCE)
                if not environ.get(name):
                    problem = f"expected the variable {name} to be set, and it is not"
                    missing.append(source.at(place, problem))
                return environ.get(name)
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


def _read_variables(source: _Source, block: Json, environ: Mapping[str, str]) -> dict[str, str]:
    """Return LiteLLM's `environment_variables`, which win over the environment.

    They are for this configuration alone: the process' environment stays as it is.
    """
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError(source.at((_VARIABLES,), f"expected a mapping, got {kind_of(block)}"))
    variables = {}
    for name, value in _substitute(source, block, environ, (_VARIABLES,)).items():
        if value is None or isinstance(value, dict | list):
            problem = f"expected text, got {kind_of(value)}"
            raise ConfigError(source.at((_VARIABLES, name), problem))
        variables[name] = str(value)
    return variables


def _overlay_master_key(
    source: _Source, values: dict[str, Json], variables: Mapping[str, str]
) -> None:
    """Take the token from LiteLLM's variable where the file has none."""
    general = values.setdefault("general_settings", {})
    if isinstance(general, dict) and "master_key" not in general and _MASTER_KEY in variables:
        general["master_key"] = variables[_MASTER_KEY]
        source.overlay(("general_settings", "master_key"), f"variable {_MASTER_KEY}")


def _overlay_server(
    source: _Source,
    values: dict[str, Json],
    environ: Mapping[str, str],
    overrides: Mapping[str, str],
) -> None:
    """Lay the environment's and then the command line's `server` keys over the file's."""
    server = values.setdefault("server", {})
    if not isinstance(server, dict):
        return
    for key, field in ServerSettings.model_fields.items():
        variable = _PREFIX + key.upper()
        if variable in environ:
            server[key] = (
                environ[variable] if environ[variable] or field.default is not None else None
            )
            source.overlay(("server", key), f"variable {variable}")
        if key in overrides:
            server[key] = overrides[key]
            source.overlay(("server", key), f"option --{key.replace('_', '-')}")


def _take_out_foreign_blocks(values: dict[str, Json]) -> list[str]:
    """Remove LiteLLM's blocks that mean nothing here, and name them."""
    return [name for name in FOREIGN_BLOCKS if values.pop(name, None)]


def _list_absent_keys(settings: Settings) -> Iterator[str]:
    """Name the keys whose files are not there yet, so that a slip in a path is seen."""
    blocks: dict[str, BaseModel] = {
        **{f"providers.{name}": each for name, each in settings.providers.items()},
        **{f"stores.{name}": each for name, each in settings.stores.items()},
    }
    if settings.cache.redis is not None:
        blocks["cache.redis"] = settings.cache.redis
    for index, alias in enumerate(settings.model_list):
        blocks[f"model_list.{index}.litellm_params"] = alias.litellm_params
    for place, block in blocks.items():
        for key in type(block).model_fields:
            secret = getattr(block, key)
            if isinstance(secret, Secret) and secret.reveal() is None:
                yield f"{place}.{key}"
