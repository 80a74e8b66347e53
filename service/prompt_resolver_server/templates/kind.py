"""A kind of store: what its settings are, and how it is built from them."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from ..domain.prompts import ServedReason
from ..settings import ConfigError, Loaded
from ..settings.environment import Environment
from ..settings.faults import Place
from ..settings.model import StoreSettings
from .store import TemplateStore
from .web import WebClient

_Settings = TypeVar("_Settings", bound=StoreSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a store is built with: its name, and what the configuration offers to all of them.

    `places` tells where in the file its settings stand, unless that is below `stores`.
    """

    name: str
    loaded: Loaded
    tls: ssl.SSLContext
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def environment(self) -> Environment:
        """The variables that a store may be configured by."""
        return self.loaded.environment

    def path(self, path: Path | str) -> Path:
        """Return a path of the configuration, which may start at the folder of its file."""
        return self.loaded.folder / path

    def find_folder(self, path: Path | str) -> Path:
        """Return the folder that the setting `path` names, which has to be there.

        It may be missing if the configuration is for another machine.
        """
        folder = self.path(path)
        try:
            came = "a file" if folder.exists() else "nothing there"
            found = folder.is_dir() or self.loaded.is_elsewhere
        except (OSError, ValueError):
            came, found = "what is no path", False
        if not found:
            raise self.fault("path", f"expected a directory, got {came}")
        return folder

    def fault(self, key: str, problem: str) -> ConfigError:
        """Return the error for one of the store's settings, with its place in the file."""
        return self.loaded.fault(self.places.get(key, ("stores", self.name, key)), problem)

    def web_client(self, *, base_url: str, timeout_s: float) -> WebClient:
        """Return the HTTP client of a store that is somebody's service."""
        return WebClient(
            name=self.name,
            base_url=base_url,
            timeout_s=timeout_s,
            tls=self.tls,
            find_proxy=self.environment.proxy_for,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind(Generic[_Settings]):
    """A row of the table of stores.

    `settings` has the kind's name as the literal type of its field `type`. `build` raises
    `ConfigError`. `is_there` tells that a store of this kind, and of its name, exists without being
    configured. `is_remote` tells that it may be out of reach while we are not, so that copies of
    what it served are worth keeping. `selects` is why a version is served that no call pins.
    """

    settings: type[_Settings]
    build: Callable[[_Settings, Site], TemplateStore]
    is_there: bool = False
    is_remote: bool = True
    selects: ServedReason = "deployed"

    @property
    def name(self) -> str:
        """What `type` says in the configuration."""
        (name,) = self.settings.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
        return str(name)
