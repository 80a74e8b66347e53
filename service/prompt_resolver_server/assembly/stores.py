"""Stores, of the configuration and of themselves."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..settings import Loaded
from ..settings.litellm import AliasSettings
from ..settings.load import Place
from ..settings.model import StoreSettings
from ..templates.cache.source import Source
from ..templates.directory.store import DirectorySettings
from ..templates.humanloop.store import HumanloopSettings
from ..templates.kind import Site, StoreKind
from ..templates.kinds import KINDS

EXAMPLES = Path(__file__).parents[1] / "examples"
"""The prompts that are served where no store is configured."""

DOTPROMPT = "dotprompt"
"""The store of LiteLLM's `global_prompt_directory`, by the prefix that LiteLLM gives it."""

_EXAMPLES_STORE = "examples"

_KINDS: Mapping[type[StoreSettings], StoreKind[Any]] = {kind.settings: kind for kind in KINDS}


def build_sources(loaded: Loaded, tls: ssl.SSLContext) -> tuple[Mapping[str, Source], str]:
    """Return the stores by name, and the name of the default one.

    Some are there without being configured. The store `humanloop` is the default one, in place of
    the examples, where no store is configured and a row of `model_list` names it.
    """
    settings = loaded.settings
    places: dict[str, Mapping[str, Place]] = {}
    stores = dict(settings.stores)
    directory = settings.litellm_settings.global_prompt_directory
    if not stores and directory is not None:
        stores[DOTPROMPT] = _directory(Path(directory))
        places[DOTPROMPT] = {"path": ("litellm_settings", "global_prompt_directory")}
    humanloop = _KINDS[HumanloopSettings].name
    if not stores and not any(_names(row, humanloop) for row in settings.model_list):
        stores[_EXAMPLES_STORE] = _directory(EXAMPLES)
    default = settings.default_store or next(iter(stores), humanloop)
    for kind in KINDS:
        if kind.is_there:
            stores.setdefault(kind.name, kind.settings())
    if default not in stores:
        raise loaded.fault(("default_store",), f"expected one of {', '.join(stores)}")
    return {
        name: _build(store, Site(name=name, loaded=loaded, tls=tls, places=places.get(name, {})))
        for name, store in stores.items()
    }, default


def _names(row: AliasSettings, store: str) -> bool:
    return row.litellm_params.model.partition("/")[0] == store


def _directory(path: Path) -> DirectorySettings:
    return DirectorySettings(type="directory", path=path)


def _build(settings: StoreSettings, site: Site) -> Source:
    kind = _KINDS[type(settings)]
    return Source(
        kind.build(settings, site),
        settings.ttl_s,
        is_remote=kind.is_remote,
        selects=kind.selects,
    )
