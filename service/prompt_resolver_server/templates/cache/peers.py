"""The other replicas of a service, as the cache of one of them knows them."""

from typing import Protocol

from ...domain.prompts import Template
from ...domain.values import Value
from .entries import Held, Key

SAME_MOMENT_S = 0.1
"""By how much the age of a copy is uncertain, as it takes a while to be told."""


class Copy(Value, frozen=True):
    """A template as a replica has shared it, and how many seconds ago its store confirmed it."""

    shown = ("template", "age_s")

    template: Template
    age_s: float


class Peers(Protocol):
    """What the replicas know together. None of this fails, and nothing takes longer than a moment.

    Where the replicas cannot be reached, each goes on by itself: nothing is found, and every claim
    is granted.
    """

    def shares(self, key: Key) -> bool:
        """Tell whether what is held under a key concerns the others at all."""
        ...

    async def find(self, key: Key, held: Template | None) -> Copy | None:
        """Return what is shared of a key; its template is `held` itself if that is the same."""
        ...

    async def claim(self, key: Key, seen: Copy | None) -> bool:
        """Tell whether this replica is to ask the store.

        Not if another one does so at the moment, or has done since `seen` was all that was shared.
        """
        ...

    def confirmed(self, key: Key, held: Held) -> None:
        """Share what the store has confirmed to this replica, and give a claim up."""
        ...

    def failed(self, key: Key) -> None:
        """Give a claim up: the store did not answer this replica."""
        ...

    def gone(self, key: Key) -> None:
        """Share no longer what the store no longer gives to this replica, and tell the others."""
        ...

    def forgotten(self, key: Key) -> None:
        """Have the others forget a prompt, whatever is shared of it; see `Replica.forget`."""
        ...

    async def aclose(self) -> None:
        """Leave the others."""
        ...


class Replica(Protocol):
    """What the others may ask of this replica. Called inside of the event loop."""

    def look(self, key: Key, *, ask_store: bool = False) -> None:
        """Look again at what is held under a key: at what is shared, or else at the store."""
        ...

    def forget(self, key: Key) -> None:
        """Forget what is held under a key, and, where it has no selector, of the whole prompt."""
        ...

    def doubt(self) -> None:
        """Look at all that is held again once it is asked for: news may have been missed."""
        ...
