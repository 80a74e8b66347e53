"""What the cache holds: templates and absences, bounded in number and in bytes."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from msgspec import structs

from ...domain.errors import ResolverError
from ...domain.prompts import Template
from ...domain.values import Value
from .outage import AT_ONCE, Retry

_OVERHEAD_BYTES = 2048
# Long texts take what they took in their store, thousands of tiny messages ten times as much, and
# schemas twenty times. Counting it exactly would hold up the event loop.
_BYTES_PER_BYTE = 10
# What callers bring may take of the room, however much of the rest is used.
_CALLERS_PART = 0.25


class Key(Value, frozen=True):
    """What a template is held under. None of its parts can be taken for another.

    `credential` is a keyed hash of the caller's own key of the store, empty without one.
    """

    store: str
    id: str
    version: str | None
    environment: str | None
    credential: bytes

    @property
    def anyones(self) -> "Key":
        """The key without the caller's part in it."""
        return structs.replace(self, credential=b"") if self.credential else self


@dataclass(slots=True)
class Held:
    """A template, and when its store last confirmed it. Times are the cache's clock's.

    From `due_at` on its store is asked again, unless that has failed: then when `retry` says.
    `restored` tells that it is a copy that was kept elsewhere, which no store has confirmed since.
    `served` counts how often it, or a version before it, was served, at last at `served_at`.
    """

    template: Template
    confirmed_at: float
    due_at: float = 0.0
    retry: Retry = AT_ONCE
    restored: bool = False
    served: int = 0
    served_at: float = 0.0

    @property
    def failures(self) -> int:
        """How many fetches failed since."""
        return self.retry.failures

    def renewed(self, template: Template, confirmed_at: float, due_at: float) -> "Held":
        """Return what is held once the store has answered again."""
        return replace(
            self,
            template=template,
            confirmed_at=confirmed_at,
            due_at=due_at,
            retry=AT_ONCE,
            restored=False,
        )

    @property
    def cost(self) -> int:
        """About how many bytes it takes in memory."""
        return _OVERHEAD_BYTES + _BYTES_PER_BYTE * self.template.size


@dataclass(frozen=True, slots=True)
class Absence:
    """What a store said instead of a template, and when it may be asked again."""

    error: ResolverError
    retry: Retry

    @property
    def cost(self) -> int:
        """About how many bytes it takes in memory."""
        return _OVERHEAD_BYTES


_Entry = TypeVar("_Entry", Held, Absence)


@dataclass(slots=True)
class Entries(Generic[_Entry]):
    """Entries by key; where they are too many, those go that were not used for the longest time.

    What callers' own keys have opened goes before all else where it takes more than a quarter of
    the room: however many keys there are, they push out no more of the service's own than that.
    """

    max_entries: int
    max_bytes: int
    size: int = 0
    # The one first that was used longest ago, in both.
    _by_key: OrderedDict[Key, _Entry] = field(default_factory=OrderedDict, repr=False)
    _callers: OrderedDict[Key, None] = field(default_factory=OrderedDict, repr=False)
    _callers_size: int = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def keys(self) -> Iterable[Key]:
        """Return the keys. Not to be changed meanwhile."""
        return self._by_key.keys()

    def recent(self) -> Iterable[tuple[Key, _Entry]]:
        """Return the entries, the one first that was used last. Not to be changed meanwhile."""
        return reversed(self._by_key.items())

    def peek(self, key: Key) -> _Entry | None:
        """Return an entry, which counts as no use of it."""
        return self._by_key.get(key)

    def get(self, key: Key) -> _Entry | None:
        """Return an entry, which counts as a use of it."""
        entry = self._by_key.get(key)
        if entry is not None:
            self._by_key.move_to_end(key)
            if key.credential:
                self._callers.move_to_end(key)
        return entry

    def put(self, key: Key, entry: _Entry) -> int:
        """Keep an entry in place of the one before, unless it alone is too large.

        Return how many had to go: it may be one of them, if it is a caller's.
        """
        self.drop(key)
        if entry.cost > self.max_bytes:
            return 0
        self._add(key, entry)
        return self._make_room()

    def fill(self, key: Key, entry: _Entry) -> bool:
        """Keep an entry as the one that was used longest ago, if there is room, and none is kept.

        Return whether it is kept.
        """
        if key in self._by_key or len(self._by_key) >= self.max_entries:
            return False
        if self.size + entry.cost > self.max_bytes:
            return False
        self._add(key, entry)
        self._by_key.move_to_end(key, last=False)
        if key.credential:
            self._callers.move_to_end(key, last=False)
        return True

    def limit(self, max_entries: int, max_bytes: int) -> int:
        """Keep at most so many, and so much, from now on. Return how many have to go."""
        self.max_entries, self.max_bytes = max_entries, max_bytes
        return self._make_room()

    def drop(self, key: Key) -> None:
        """Forget an entry, if there is one."""
        entry = self._by_key.pop(key, None)
        self._callers.pop(key, None)
        if entry is not None:
            self.size -= entry.cost
            self._callers_size -= entry.cost if key.credential else 0

    def _add(self, key: Key, entry: _Entry) -> None:
        self._by_key[key] = entry
        if key.credential:
            self._callers[key] = None
            self._callers_size += entry.cost
        self.size += entry.cost

    def _make_room(self) -> int:
        evicted = 0
        while len(self._by_key) > self.max_entries or self.size > self.max_bytes:
            self.drop(next(iter(self._callers if self._have_callers_much() else self._by_key)))
            evicted += 1
        return evicted

    def _have_callers_much(self) -> bool:
        """Tell whether what callers' own keys have opened takes more than its part of the room."""
        return (
            len(self._callers) > _CALLERS_PART * self.max_entries
            or self._callers_size > _CALLERS_PART * self.max_bytes
        )
