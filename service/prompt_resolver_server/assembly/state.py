"""What outlives a restart: copies on disk of what the cache holds, where they are configured.

What makes them is imported by those functions that need it: who keeps none does not pay for it.
"""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from ..metrics import Metrics
from ..settings import ConfigError, Loaded
from ..settings.model import CacheSettings
from ..templates.cache.cache import TemplateCache
from ..templates.cache.source import Source

if TYPE_CHECKING:
    from ..templates.cache.disk import DiskCopies
    from ..templates.cache.state import StateDir, StateError

_log = logging.getLogger(__name__)

# Longer than ten thousand copies take; what takes longer is read while calls are served.
_RESTORE_S = 1.0


def open_state(loaded: Loaded) -> "StateDir | None":
    """Return the folder of what outlives a restart, if there is to be one. Raises `ConfigError`.

    A disk that is full before the folder is set up is no fault of the configuration: there is none
    then, and callers' keys are hashed with a salt of this process alone.
    """
    path = loaded.settings.server.state_dir
    if path is None:
        return None
    from ..templates.cache.state import FullDiskError, StateDir, StateError  # noqa: PLC0415

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
    if path is None or loaded.is_elsewhere:
        return
    from ..templates.cache.state import StateError, check_folder  # noqa: PLC0415

    try:
        check_folder(loaded.folder / path)
    except StateError as error:
        raise _unusable(loaded, error) from None


def _unusable(loaded: Loaded, error: "StateError") -> ConfigError:
    return loaded.fault(("server", "state_dir"), str(error))


def build_copies(
    state: "StateDir", sources: Mapping[str, Source], settings: CacheSettings, metrics: Metrics
) -> "DiskCopies":
    """Return what makes copies of what a cache of these stores holds."""
    from ..templates.cache.disk import DiskCopies  # noqa: PLC0415

    return DiskCopies(
        state,
        places=find_places(sources),
        max_entries=settings.max_entries,
        max_bytes=settings.max_bytes,
        metrics=metrics,
    )


async def restore_copies(copies: "DiskCopies", cache: TemplateCache, stack: AsyncExitStack) -> None:
    """Have a cache hold the copies that are there, and more of them made until the stack ends."""
    stack.push_async_callback(copies.aclose)
    await copies.start(
        lambda copy, age_s: cache.restore(copy.key, copy.template, age_s=age_s),
        within_s=_RESTORE_S,
    )


def find_places(sources: Mapping[str, Source]) -> Mapping[str, str]:
    """Return digests of where the stores are that may be out of reach: copies are kept of these."""
    from ..templates.cache.envelope import digest_of  # noqa: PLC0415

    return {name: digest_of(each.place) for name, each in sources.items() if each.is_remote}
