"""Stores, of the configuration and of themselves."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from ..settings import Loaded
from ..settings.litellm import AliasSettings
from ..settings.load import Place
from ..settings.model import DirectorySettings, HumanloopSettings
from ..templates.cache import Source
from ..templates.directory import DirectoryStore
from ..templates.humanloop import HumanloopStore
from ..templates.store import TemplateStore
from ..templates.web import WebClient

EXAMPLES = Path(__file__).parents[1] / "examples"
"""The prompts that are served where no store is configured."""

DOTPROMPT = "dotprompt"
"""The store of LiteLLM's `global_prompt_directory`, by the prefix that LiteLLM gives it."""

HUMANLOOP = "humanloop"
_HUMANLOOP_URL = "https://api.humanloop.com/v5"


def build_sources(loaded: Loaded, tls: ssl.SSLContext) -> tuple[Mapping[str, Source], str]:
    """Return the stores by name, and the name of the default one.

    The store `humanloop` is there without being configured. It is the default one, in place of the
    examples, where no store is configured and a row of `model_list` names it.
    """
    settings = loaded.settings
    stores = {
        name: Source(_build_store(loaded, name, store, tls), store.ttl_s)
        for name, store in settings.stores.items()
    }
    directory = settings.litellm_settings.global_prompt_directory
    if not stores and directory is not None:
        place: Place = ("litellm_settings", "global_prompt_directory")
        stores[DOTPROMPT] = Source(_build_directory(loaded, DOTPROMPT, directory, place), ttl_s=0)
    if not stores and not any(_names_humanloop(row) for row in settings.model_list):
        stores["examples"] = Source(DirectoryStore(name="examples", root=EXAMPLES), ttl_s=0)
    default = settings.default_store or next(iter(stores), HUMANLOOP)
    if HUMANLOOP not in stores:
        own = HumanloopSettings(type="humanloop")
        stores[HUMANLOOP] = Source(_build_humanloop(loaded, HUMANLOOP, own, tls), own.ttl_s)
    if default not in stores:
        raise loaded.fault(("default_store",), f"expected one of {', '.join(stores)}")
    return stores, default


def _names_humanloop(row: AliasSettings) -> bool:
    return row.litellm_params.model.partition("/")[0] == HUMANLOOP


def _build_store(
    loaded: Loaded,
    name: str,
    settings: DirectorySettings | HumanloopSettings,
    tls: ssl.SSLContext,
) -> TemplateStore:
    if isinstance(settings, HumanloopSettings):
        return _build_humanloop(loaded, name, settings, tls)
    return _build_directory(loaded, name, settings.path, ("stores", name, "path"))


def _build_directory(loaded: Loaded, name: str, path: Path | str, place: Place) -> DirectoryStore:
    root = loaded.folder / path
    try:
        came = "a file" if root.exists() else "nothing there"
        found = root.is_dir()
    except (OSError, ValueError):
        came, found = "what is no path", False
    if not found:
        raise loaded.fault(place, f"expected a directory, got {came}")
    return DirectoryStore(name=name, root=root)


def _build_humanloop(
    loaded: Loaded, name: str, settings: HumanloopSettings, tls: ssl.SSLContext
) -> TemplateStore:
    environment = loaded.environment
    key = settings.api_key or environment.secret(("HUMANLOOP_API_KEY",))
    client = WebClient(
        name=name,
        base_url=(
            settings.base_url or environment.first(("HUMANLOOP_BASE_URL",)) or _HUMANLOOP_URL
        ),
        timeout_s=settings.timeout_s,
        tls=tls,
        find_proxy=environment.proxy_for,
    )
    return HumanloopStore(
        name=name,
        client=client,
        timeout_s=settings.timeout_s,
        find_key=key.reveal,
        key_hint=f"stores.{name}.api_key or HUMANLOOP_API_KEY",
    )
