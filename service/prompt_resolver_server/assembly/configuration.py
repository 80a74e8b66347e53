"""Reads a configuration, whose stores may be of the kinds that there are."""

from collections.abc import Mapping
from pathlib import Path

from ..settings import Loaded, load_settings
from ..settings.model import AnyStoreSettings
from ..templates.chain import ChainSettings
from ..templates.kinds import KINDS


def load_configuration(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the configuration of a file, or the defaults; see `load_settings`."""
    stores: list[type[AnyStoreSettings]] = [kind.settings for kind in KINDS]
    return load_settings(path, environ, overrides, stores=(*stores, ChainSettings))
