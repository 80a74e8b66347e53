"""Copies of what stores confirmed, where there is more room than in memory."""

from typing import Protocol

from .entries import Key
from .listener import CacheListener
from .peers import Copy


class Copies(CacheListener, Protocol):
    """Keeps copies of what it is told of. None of this fails."""

    async def find(self, key: Key) -> Copy | None:
        """Return the copy of a key. Takes a moment at most, and next to nothing without one."""
        ...
