"""Reads the configuration from one YAML file and the environment.

This is the only place that reads the environment. Every fault is told with its place in the file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from ..domain.parameters import Json, kind_of
from .environment import Environment
from .faults import ConfigError, Place, read_fault
from .fields import ELSEWHERE
from .files import Look, look_if_there
from .model import AnyStoreSettings, Settings, of_stores
from .secrets import Secret
from .server import ServerSettings
from .source import Source
from .unused import FOREIGN_BLOCKS, list_unused, list_unused_variables
from .variables import OWN_VARIABLES, PREFIX, list_referred, read_own, substitute

_MASTER_KEY = "LITELLM_MASTER_KEY"
Looks: TypeAlias = tuple[Look | None, Look | None]
"""What the configuration's file looks like, and the one of certificates; None for one that is not
there."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where it comes from.

    `path` is that of its file, if there is one, and `folder` is where its relative paths start;
    `without_effect` names what in it does nothing, and `absent_keys` the keys whose files are not
    there yet. `looks` tells what its files looked like when it was read; see `look`. `again` reads
    it once more, from the file as it is by then; see `load_settings`. `is_elsewhere`: it is for
    another machine, and the files and folders that it names may be missing on this one.
    """

    settings: Settings
    environment: Environment
    path: Path | None
    folder: Path
    looks: Looks
    again: Callable[[], "Loaded"]
    without_effect: tuple[str, ...]
    absent_keys: tuple[str, ...]
    source: Source
    is_elsewhere: bool = False

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
    is_elsewhere: bool = False,
) -> Loaded:
    """Return the configuration of a file, or the defaults, under what the environment says.

    `stores` are the settings of the kinds of stores that there are. `overrides` are keys of the
    `server` block that win over both. `is_elsewhere`: see `Loaded`. Raises `ConfigError`.
    """
    again = partial(
        load_settings,
        path,
        environ,
        dict(overrides or {}),
        stores=stores,
        is_elsewhere=is_elsewhere,
    )
    if path is None and (name := environ.get(f"{PREFIX}CONFIG")):
        path = Path(name)
    source = Source(path)
    written = source.document.value
    if not isinstance(written, dict):
        raise ConfigError(source.at((), f"expected a mapping, got {kind_of(written)}"))
    own = read_own(source, written.get(OWN_VARIABLES), environ)
    variables = {**environ, **own} if own else environ
    values = substitute(
        source, {name: block for name, block in written.items() if name != OWN_VARIABLES}, variables
    )
    values = {name: block for name, block in values.items() if block is not None}
    without_effect = _take_out_foreign_blocks(values)
    _overlay_server(source, values, environ, overrides or {})
    _overlay_master_key(source, values, variables)
    try:
        context = ELSEWHERE if is_elsewhere else None
        settings = of_stores(stores).model_validate(values, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        faults = [read_fault(each, values) for each in details]
        raise ConfigError(*(source.at(*fault) for fault in faults)) from None
    without_effect.extend(list_unused(settings))
    without_effect.extend(list_unused_variables([*environ], {*list_referred(written)}))
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
        is_elsewhere=is_elsewhere,
    )


def _look_at_authorities(settings: Settings, folder: Path) -> Look | None:
    ca_file = settings.server.ca_file
    return look_if_there(folder / ca_file) if ca_file is not None else None


def _overlay_master_key(
    source: Source, values: dict[str, Json], variables: Mapping[str, str]
) -> None:
    """Take the token from LiteLLM's variable where the file has none."""
    general = values.setdefault("general_settings", {})
    if isinstance(general, dict) and "master_key" not in general and _MASTER_KEY in variables:
        general["master_key"] = variables[_MASTER_KEY]
        source.overlay(("general_settings", "master_key"), f"variable {_MASTER_KEY}")


def _overlay_server(
    source: Source,
    values: dict[str, Json],
    environ: Mapping[str, str],
    overrides: Mapping[str, str],
) -> None:
    """Lay the environment's and then the command line's `server` keys over the file's."""
    server = values.setdefault("server", {})
    if not isinstance(server, dict):
        return
    for key, field in ServerSettings.model_fields.items():
        variable = PREFIX + key.upper()
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
        **{f"callers.{name}": each for name, each in settings.callers.items()},
        "general_settings": settings.general_settings,
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
