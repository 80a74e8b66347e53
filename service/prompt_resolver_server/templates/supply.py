"""Where templates come from, for those who serve them: a cache, or chains that stand above it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from ..domain.prompts import PromptRef, ServedTemplate
from .cache.cache import TemplateCache
from .cache.inventory import Inventory
from .cache.source import Member


class TemplateSupply(Protocol):
    """Serves templates of several stores."""

    @property
    def cache(self) -> TemplateCache:
        """What holds the templates."""
        ...

    @property
    def inventory(self) -> Inventory:
        """What is held."""
        ...

    @property
    def stores(self) -> Collection[str]:
        """The names of all stores, chains of them included."""
        ...

    @property
    def default_store(self) -> str:
        """The name of the store of prompts that name none."""
        ...

    async def get(
        self,
        ref: PromptRef,
        *,
        refresh: bool,
        deadline: float,
        caller_key: str | None = None,
    ) -> ServedTemplate:
        """Return the template that `ref` names; see `TemplateCache.get`."""
        ...

    def members(self, store: str | None) -> Sequence[Member]:
        """Return the stores behind a name, or the default one, in the order of their being asked.

        Raises STORE_UNKNOWN.
        """
        ...
