"""Reads a configuration, whose stores may be of the kinds that there are."""

import logging
from collections.abc import Mapping
from pathlib import Path

from ..settings import Loaded, load_settings
from ..settings.model import AnyStoreSettings
from ..templates.chain import ChainSettings
from ..templates.kinds import KINDS

_log = logging.getLogger(__name__)


def load_configuration(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    is_elsewhere: bool = False,
) -> Loaded:
    """Return the configuration of a file, or the defaults; see `load_settings`."""
    stores: list[type[AnyStoreSettings]] = [kind.settings for kind in KINDS]
    return load_settings(
        path, environ, overrides, stores=(*stores, ChainSettings), is_elsewhere=is_elsewhere
    )


def warn_of(loaded: Loaded, *, before: Loaded | None = None) -> None:
    """Log what may be a slip in a configuration, and was not one of the configuration before."""
    for name in loaded.without_effect:
        if before is None or name not in before.without_effect:
            _log.warning("a setting has no effect in this version", extra={"setting": name})
    for name in loaded.absent_keys:
        if before is None or name not in before.absent_keys:
            _log.warning("a key's file is not there yet", extra={"setting": name})
