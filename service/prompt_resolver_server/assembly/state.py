"""What outlives a restart: copies on disk of what the cache holds."""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack

from ..metrics import Metrics
from ..settings import ConfigError, Loaded
from ..settings.model import CacheSettings
from ..templates.cache.cache import TemplateCache
from ..templates.cache.disk import DiskCopies
from ..templates.cache.source import Source
from ..templates.cache.state import FullDiskError, StateDir, StateError, check_folder

_log = logging.getLogger(__name__)

# Longer than ten thousand copies take; what takes longer is read while calls are served.
_RESTORE_S = 1.0


def open_state(loaded: Loaded) -> StateDir | None:
    """Return the folder of what outlives a restart, if there is to be one. Raises `ConfigError`.

    A disk that is full before the folder is set up is no fault of the configuration: there is none
    then, and callers' keys are hashed with a salt of this process alone.
    """
    path = loaded.settings.server.state_dir
    if path is None:
        return None
    try:
        return StateDir(loaded.folder / path)
    except FullDiskError:
        _log.error(
            "the disk is full: until a restart, what is held is in memory alone",
            extra={"setting": "server.state_dir"},
        )
        return None
    except StateError as error:
        raise _unusable(loaded, error) from None


def check_state(loaded: Loaded) -> None:
    """Raise `ConfigError` for a folder that could not be used, and change nothing."""
    path = loaded.settings.server.state_dir
    try:
        if path is not None and not loaded.is_elsewhere:
            check_folder(loaded.folder / path)
    except StateError as error:
        raise _unusable(loaded, error) from None


def _unusable(loaded: Loaded, error: StateError) -> ConfigError:
    return loaded.fault(("server", "state_dir"), str(error))


async def keep_copies(
    state: StateDir,
    cache: TemplateCache,
    settings: CacheSettings,
    metrics: Metrics,
    stack: AsyncExitStack,
) -> DiskCopies:
    """Have a cache hold the copies that are there, and return what makes copies of it later."""
    copies = DiskCopies(
        state,
        stores=list_remote(cache.sources),
        max_entries=settings.max_entries,
        max_bytes=settings.max_bytes,
        metrics=metrics,
    )
    cache.listen(copies)
    stack.push_async_callback(copies.aclose)
    await copies.start(
        lambda copy, age_s: cache.restore(copy.key, copy.template, age_s=age_s),
        within_s=_RESTORE_S,
    )
    return copies


def list_remote(sources: Mapping[str, Source]) -> frozenset[str]:
    """Return the names of the stores that may be out of reach: copies are kept of these."""
    return frozenset(name for name, source in sources.items() if source.is_remote)
