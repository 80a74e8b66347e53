"""The configuration: what it may say (`model`), how it is read (`load`), and its secrets."""

from .faults import ConfigError
from .load import Loaded, load_settings
from .model import Settings

__all__ = ["ConfigError", "Loaded", "Settings", "load_settings"]
