"""Who follows what a cache holds: copies elsewhere, and those who watch."""

from typing import Protocol

from .entries import Held, Key


class CacheListener(Protocol):
    """Is told of every change, right after it and inside of the event loop.

    So it must neither wait nor fail. What it is told of is what is held now, not to be changed.
    """

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        """Take note that a store has confirmed what is held; `changed` if it is another version."""
        ...

    def recalled(self, key: Key, held: Held) -> None:
        """Take note that a copy which was kept elsewhere is held, and no store has confirmed it."""
        ...

    def failing(self, key: Key, held: Held) -> None:
        """Take note that a store did not answer, and what is held is served in its place."""
        ...

    def dropped(self, key: Key) -> None:
        """Take note that nothing is held any more: its store says so, or an operator does."""
        ...
