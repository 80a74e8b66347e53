"""The kinds of stores that there are. A new one is a module here, and a line in this table."""

from typing import Any

from .directory.store import KIND as DIRECTORY
from .humanloop.store import KIND as HUMANLOOP
from .kind import StoreKind

KINDS: tuple[StoreKind[Any], ...] = (
    DIRECTORY,
    HUMANLOOP,
)
"""All kinds, each by the settings that it has."""
