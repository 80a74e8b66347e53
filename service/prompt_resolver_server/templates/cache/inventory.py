"""What the cache holds, told to whoever looks after it. Looking counts as no use of anything."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Literal

from ...prompts import ServedReason, Template
from ...values import Value
from .entries import Entries, Held, Key
from .source import Source

Freshness = Literal["fresh", "due", "stale"]
"""Within its time to live; past it, or a copy from before this process, so that the next call has
its store asked; or that, and its store failed when it was asked."""


class HeldTemplate(Value, frozen=True, kw_only=True):
    """A template that is held, and what is held of it. Ages are in seconds.

    `id`, `version` and `environment` are those by which it was asked for. `served` counts how often
    it was served since it is held, `idle_s` is the time since the last of these.
    """

    shown = ("store", "id", "version", "environment")

    store: str
    id: str
    version: str | None
    environment: str | None
    template: Template
    reason: ServedReason
    age_s: float
    freshness: Freshness
    served: int
    idle_s: float


class Inventory:
    """Looks into a cache. What a caller's own key has opened is not shown: it is that caller's."""

    def __init__(
        self,
        held: Entries[Held],
        *,
        sources: Mapping[str, Source],
        default_store: str,
        clock: Callable[[], float],
    ) -> None:
        self._sources = sources
        self.ttls_s = {name: source.ttl_s for name, source in sources.items()}
        self.default_store = default_store
        self._held = held
        self._clock = clock

    @property
    def entries(self) -> int:
        """How many templates are held, those that are not shown included."""
        return len(self._held)

    @property
    def size(self) -> int:
        """About how many bytes they take in memory."""
        return self._held.size

    def find(self, text: str = "", *, skip: int = 0, most: int) -> list[HeldTemplate]:
        """Return what is held, the one first that was asked for last.

        Of those with `text` in their id or name, whatever its case, `skip` are left out and then at
        most so many returned.
        """
        wanted, now = text.casefold(), self._clock()
        found = (
            (key, held)
            for key, held in self._held.recent()
            if not key.credential
            and (wanted in key.id.casefold() or wanted in held.template.name.casefold())
        )
        return [self._tell(key, held, now) for key, held in islice(found, skip, skip + most)]

    def _tell(self, key: Key, held: Held, now: float) -> HeldTemplate:
        age_s = max(0.0, now - held.confirmed_at)
        fresh = age_s < self._sources[key.store].ttl_s and not held.restored
        freshness: Freshness = "stale" if held.failures else "due"
        return HeldTemplate(
            store=key.store,
            id=key.id,
            version=key.version,
            environment=key.environment,
            template=held.template,
            reason=self._sources[key.store].reason(key),
            age_s=age_s,
            freshness="fresh" if fresh else freshness,
            served=held.served,
            idle_s=max(0.0, now - held.served_at),
        )
