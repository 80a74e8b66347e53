"""Stores, of the configuration and of themselves."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..settings import Loaded
from ..settings.environment import Environment
from ..settings.faults import Place
from ..settings.litellm import AliasSettings
from ..settings.model import AnyStoreSettings, StoreSettings
from ..settings.secrets import Secret
from ..templates.cache.source import Source
from ..templates.chain import ChainSettings
from ..templates.directory.store import DirectorySettings
from ..templates.formats.format_rule import PromptFormat
from ..templates.kind import Site, StoreKind
from ..templates.kinds import KINDS
from ..templates.store import TemplateStore, find_id_problem
from ..templates.web_store import WebStore

EXAMPLES = Path(__file__).parents[1] / "examples"
"""The prompts that are served where no store is configured."""

DOTPROMPT = "dotprompt"
"""The store of LiteLLM's `global_prompt_directory`, by the prefix that LiteLLM gives it."""

_EXAMPLES_STORE = "examples"
# Of the address it matters what it comes to, wherever it is set.
_NOT_DECISIVE = ("ttl_s", "timeout_s", "base_url", "api_base")

_KINDS: Mapping[type[StoreSettings], StoreKind[Any]] = {kind.settings: kind for kind in KINDS}


class _Origin(NamedTuple):
    """What a store is built from: if that is the same, it is the same store."""

    settings: StoreSettings
    environment: Environment
    folder: Path
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Stores:
    """All stores: those that have prompts, the chains with their members, and the default one.

    `origins` has what each of them was built from.
    """

    sources: Mapping[str, Source]
    chains: Mapping[str, tuple[str, ...]]
    default: str
    origins: Mapping[str, _Origin]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return (*self.sources, *self.chains)


def build_stores(loaded: Loaded, tls: ssl.SSLContext, *, before: Stores | None = None) -> Stores:
    """Return the stores of a configuration, each the very one of `before` if it would be the same.

    Some are there without being configured. The first of them that a row of `model_list` names is
    the default one, in place of the examples, where no store is configured. Raises `ConfigError`.
    """
    settings = loaded.settings
    places: dict[str, Mapping[str, Place]] = {}
    stores: dict[str, AnyStoreSettings] = dict(settings.stores)
    directory = settings.litellm_settings.global_prompt_directory
    if not stores and directory is not None:
        # LiteLLM takes a file without any sign for one text, as Humanloop does.
        stores[DOTPROMPT] = _directory(Path(directory), default_format="humanloop")
        places[DOTPROMPT] = {"path": ("litellm_settings", "global_prompt_directory")}
    there = {kind.name for kind in KINDS if kind.is_there}
    named = [name for row in settings.model_list if (name := _store_of(row)) in there]
    if not stores and not named:
        stores[_EXAMPLES_STORE] = _directory(EXAMPLES)
    default = settings.default_store or next(iter((*stores, *named)))
    for kind in KINDS:
        if kind.is_there:
            stores.setdefault(kind.name, kind.settings())
    if default not in stores:
        raise loaded.fault(("default_store",), f"expected one of {', '.join(stores)}")
    for index, prompt in enumerate(settings.prefetch):
        if prompt.store is not None and prompt.store not in stores:
            raise loaded.fault(("prefetch", index, "store"), f"expected one of {', '.join(stores)}")
        if problem := find_id_problem(prompt.id):
            # It would be asked for again and again, and the service would never be ready.
            raise loaded.fault(("prefetch", index, "id"), problem)
    chains = {
        name: _check_chain(loaded, name, store, stores)
        for name, store in stores.items()
        if isinstance(store, ChainSettings)
    }
    origins = {
        name: _Origin(store, loaded.environment, loaded.folder, tls)
        for name, store in stores.items()
        if isinstance(store, StoreSettings)
    }
    known = before.sources if before is not None else {}
    known_origins = before.origins if before is not None else {}
    sources = {
        name: known[name]
        if known_origins.get(name) == origin
        else _build(
            origin.settings,
            Site(name=name, loaded=loaded, tls=tls, places=places.get(name, {})),
        )
        for name, origin in origins.items()
    }
    return Stores(sources, chains, default, origins)


def _check_chain(
    loaded: Loaded, name: str, chain: ChainSettings, stores: Mapping[str, AnyStoreSettings]
) -> tuple[str, ...]:
    """Return a chain's members. Raises `ConfigError` for what is no store, or is named twice."""
    place: Place = ("stores", name, "stores")
    known = [each for each, store in stores.items() if isinstance(store, StoreSettings)]
    if not chain.stores:
        raise loaded.fault(place, f"expected some of {', '.join(known)}, got none")
    for index, member in enumerate(chain.stores):
        if member in chain.stores[:index]:
            raise loaded.fault((*place, index), f"expected each store once, got {member!r} again")
        if member not in known:
            kind = "a chain" if member in stores else "a store that is not configured"
            problem = f"expected one of {', '.join(known)}, got {kind}: {member!r}"
            raise loaded.fault((*place, index), problem)
    return chain.stores


def _store_of(row: AliasSettings) -> str:
    """Return what stands where a row's model may name a store."""
    return row.litellm_params.model.partition("/")[0]


def _directory(path: Path, default_format: PromptFormat | None = None) -> DirectorySettings:
    return DirectorySettings(type="directory", path=path, default_format=default_format)


def _build(settings: StoreSettings, site: Site) -> Source:
    kind = _KINDS[type(settings)]
    store = kind.build(settings, site)
    return Source(
        store,
        settings.ttl_s,
        is_remote=kind.is_remote,
        selects=kind.selects,
        place=_place(settings, site, store),
    )


def _place(settings: StoreSettings, site: Site, store: TemplateStore) -> str:
    """Return all that decides which templates a store has: who asks, and how often, does not."""
    decisive = {
        name: value
        for name, value in settings
        if name not in _NOT_DECISIVE and not (value is None or isinstance(value, Secret))
    }
    address = store.base_url if isinstance(store, WebStore) else str(site.loaded.folder)
    return repr((sorted(decisive.items()), address))
