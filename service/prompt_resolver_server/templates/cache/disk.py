"""Copies on disk of what the cache holds, which serve where memory has none and the store is down.

That is after a restart, and where memory has no room.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from ...metrics import Metrics
from . import peers
from .copy_files import CopyFiles
from .disk_thread import DiskThread
from .entries import Held, Key
from .envelope import Copy
from .state import StateDir

# The time of what a store only confirms is written this often at most, and as far behind.
_SAME_AGAIN_S = 1.0
_LAST_WRITES_S = 5.0
# How long a call waits for a disk that hangs.
_FIND_S = 1.0

Restore: TypeAlias = Callable[[Copy, float], object]
"""Takes a copy from before this process, and its age in seconds."""


class DiskCopies:
    """The `Copies` of what remote stores confirmed, in a folder.

    A thread reads what is there, and then writes: the newest of each key, as fast as the disk takes
    it. `restored` tells that all has been read. `places` has the digest of each remote store's
    place, by its name. `clock` is the cache's, and `wall_clock` gives Unix time.
    """

    def __init__(
        self,
        state: StateDir,
        *,
        places: Mapping[str, str],
        max_entries: int,
        max_bytes: int,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = CopyFiles(state, places, max_entries=max_entries, max_bytes=max_bytes)
        self._thread = DiskThread(self._files, self)
        self._max_entries = max_entries
        self._clock = clock
        self._wall_clock = wall_clock
        self._metrics = metrics
        # There from the start, so that the first one is seen as an increase.
        metrics.state_handled("failed", 0)
        self.restored = asyncio.Event()
        # What the store has told of lately, so that what was read before that is not restored.
        self._noted: OrderedDict[Key, float] = OrderedDict()

    async def start(self, restore: Restore, *, within_s: float) -> None:
        """Have what is there restored, the newest first, and begin to follow the cache.

        Returns once that is done, or after the time given, from which on it goes on by itself.
        """
        self._restore = restore
        self._thread.start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.restored.wait(), within_s)

    def adopt(
        self,
        places: Mapping[str, str],
        *,
        lost: Collection[str],
        max_entries: int,
        max_bytes: int,
    ) -> None:
        """Keep copies of these stores from now on, within these limits; see `Replacement.lost`.

        All our copies of lost stores are removed. What is there must have been restored.
        """
        self._max_entries = max_entries
        self._files.places = places
        self._files.limit(max_entries, max_bytes)
        self._thread.lose(lost)

    async def aclose(self) -> None:
        """Write what is still to be written, and end."""
        await self._thread.aclose(within_s=_LAST_WRITES_S)

    async def find(self, key: Key) -> peers.Copy | None:
        """Return the copy of a key, and its age; see `Copies.find`."""
        if (name := self._name(key)) is None:
            return None
        copy = await self._thread.read(name, within_s=_FIND_S)
        return peers.Copy(copy.template, self._age(copy)) if copy is not None else None

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        """Have a template written, or only the time of its confirmation."""
        now = self._clock()
        noted_at = self._noted.get(key)
        soon_again = noted_at is not None and now - noted_at < _SAME_AGAIN_S
        place = self._files.places.get(key.store)
        if place is None or (soon_again and not changed):
            return
        self._note(key, now)
        if (name := self._name(key)) is None:
            self.count({"failed": 1})
            return
        confirmed_at = self._wall_clock() - (now - held.confirmed_at)
        self._thread.put(
            name, Copy(key, place, held.template, confirmed_at), most=self._max_entries
        )

    def recalled(self, key: Key, held: Held) -> None:
        """Keep the copy, which it is, as it is."""

    def failing(self, key: Key, held: Held) -> None:
        """Keep the copy as it is."""

    def dropped(self, key: Key) -> None:
        """Have a copy removed, if there may be one."""
        if (name := self._name(key)) is None:
            return
        # The cache tells of what was never there, too, and callers may ask for no end of that.
        if not self.restored.is_set():
            self._note(key, self._clock())
            self._thread.put(name, None, most=self._max_entries)
        elif key in self._noted or self._thread.may_have(name):
            self._note(key, self._clock())
            # It must not be there after a restart, however much waits for the disk.
            self._thread.put(name, None)

    def deliver(self, copies: Collection[Copy]) -> None:
        """Restore copies, but for those of which the store has told since."""
        for copy in copies:
            if copy.key not in self._noted:
                self._restore(copy, self._age(copy))

    def tell_restored(self) -> None:
        """Take note that all that was there has been read."""
        self.restored.set()

    def count(self, outcomes: Mapping[str, int]) -> None:
        """Take note of how many copies came to what."""
        for outcome, number in outcomes.items():
            if number:
                self._metrics.state_handled(outcome, number)

    def _name(self, key: Key) -> str | None:
        """Return the name of a key's file, or None if it cannot have one."""
        try:
            return self._files.name(key)
        except ValueError:
            # Of a text that is none, such as half of a character.
            return None

    def _age(self, copy: Copy) -> float:
        # A clock that went back tells nothing of what lies before it.
        return max(0.0, self._wall_clock() - copy.confirmed_at)

    def _note(self, key: Key, now: float) -> None:
        self._noted[key] = now
        self._noted.move_to_end(key)
        if len(self._noted) > self._max_entries:
            self._noted.popitem(last=False)
