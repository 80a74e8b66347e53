"""What the cache holds, told to whoever looks after it. Looking counts as no use of anything."""

from collections.abc import Callable, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Literal, TypeAlias

from ...domain.prompts import ServedReason, ServedTemplate, Template
from ...domain.values import Value
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


Place: TypeAlias = tuple[str, str, str, str]
"""Where something stands in the order of what is held: by its store, id and selector."""


def place(key: Key) -> Place:
    """Return where a template stands."""
    return key.store, key.id, key.version or "", key.environment or ""


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
        self.default_store = default_store
        self._held = held
        self._clock = clock

    @property
    def ttls_s(self) -> Mapping[str, float]:
        """For how many seconds what each store has confirmed is served."""
        return {name: source.ttl_s for name, source in self._sources.items()}

    @property
    def entries(self) -> int:
        """How many templates are held, those that are not shown included."""
        return len(self._held)

    @property
    def size(self) -> int:
        """About how many bytes they take in memory."""
        return self._held.size

    def keys(self, credential: bytes = b"") -> list[Key]:
        """Return what is held under: by the stores' own keys, or by a caller's, if it is named."""
        return [key for key in self._held.keys() if key.credential == credential]  # noqa: SIM118

    def look(self, key: Key) -> ServedTemplate | None:
        """Return what a call would be served from memory right now; None if nothing is held."""
        held = self._held.peek(key)
        if held is None:
            return None
        source = self._sources[key.store]
        age_s = max(0.0, self._clock() - held.confirmed_at)
        outlived = age_s >= source.ttl_s
        due = held.restored or (outlived and (source.ttl_s > 0 or held.failures > 0))
        return ServedTemplate(
            template=held.template,
            store=key.store,
            cache="fallback" if held.restored else "stale" if due else "hit",
            reason=self.reason(key),
            age_s=age_s,
            stale=outlived and held.failures > 0,
        )

    def reason(self, key: Key) -> ServedReason:
        """Return why the version that is held under a key is the one that is served."""
        return self._sources[key.store].reason(key)

    def due_s(self, key: Key) -> float:
        """Return in how many seconds the store is to be asked again; 0 if nothing is held."""
        held = self._held.peek(key)
        if held is None:
            return 0.0
        due_at = 0.0 if held.restored else held.due_at
        return max(0.0, max(due_at, held.retry.soonest_at) - self._clock())

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

    def page(
        self, *, store: str | None, after: Place | None, most: int, credential: bytes = b""
    ) -> list[Key]:
        """Return what comes after a place, of one store or of all, in the order of the places."""
        keys = (
            key
            for key in self.keys(credential)
            if store in (None, key.store) and (after is None or place(key) > after)
        )
        return nsmallest(most, keys, key=place)

    def tell(self, key: Key) -> HeldTemplate | None:
        """Return what is held under a key."""
        held = self._held.peek(key)
        return self._tell(key, held, self._clock()) if held is not None else None

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
            reason=self.reason(key),
            age_s=age_s,
            freshness="fresh" if fresh else freshness,
            served=held.served,
            idle_s=max(0.0, now - held.served_at),
        )
