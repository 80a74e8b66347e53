"""The kinds of stores that there are. A new one is a module here, and a line in this table."""

from typing import Any

from .directory.store import KIND as DIRECTORY
from .humanloop.store import KIND as HUMANLOOP
from .humanloop_export.store import KIND as HUMANLOOP_EXPORT
from .kind import StoreKind
from .langfuse.store import KIND as LANGFUSE
from .litellm_generic import KIND as LITELLM_GENERIC

KINDS: tuple[StoreKind[Any], ...] = (
    DIRECTORY,
    HUMANLOOP,
    HUMANLOOP_EXPORT,
    LANGFUSE,
    LITELLM_GENERIC,
)
"""All kinds, each by the settings that it has."""
