"""Taking back what is held: it is forgotten, or looked at again before it is served for long.

An operator has it forgotten, in all replicas. Other replicas pass that on, and tell as well what
they have news of.
"""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial

from ...domain.prompts import PromptRef
from .entries import Key
from .fetcher import Fetcher, Outcome
from .ledger import Ledger
from .source import Lookup, Source


class Invalidation:
    """Takes back what a cache holds. A `Replica`, which is what others may ask of this one."""

    def __init__(self, sources: Mapping[str, Source], ledger: Ledger, fetcher: Fetcher) -> None:
        self._sources = sources
        self._ledger = ledger
        self._fetcher = fetcher
        self._looking: set[Key] = set()

    def invalidate(self, named: Collection[Key]) -> int:
        """Forget what is held under these keys, in all replicas; return how many copies went here.

        It goes whoever's key opened it. A key without a selector means every version. That a
        prompt is absent is forgotten, too, and what a store answers right now goes to those who
        wait for it, and to nobody else.
        """
        dropped = self._forget(named)
        # In the end, so that the others find none of it shared any more.
        for key in named:
            self._fetcher.peering.forgotten(key)
        return dropped

    def forget(self, key: Key) -> None:
        """Forget what is held under a key, as another replica's operator has it."""
        self._forget({key})

    def look(self, key: Key, *, ask_store: bool = False) -> None:
        """Look again at what is held under a key: at what is shared, or else at the store."""
        self._ledger.absent.drop(key)
        if self._ledger.held.peek(key) is None:
            return
        flight = self._fetcher.flights.get(key)
        if flight is None:
            ref = PromptRef(
                id=key.id, store=key.store, version=key.version, environment=key.environment
            )
            lookup = Lookup(key, self._sources[key.store], ref, None)
            self._fetcher.begin(lookup, past_peers=ask_store)
        elif key not in self._looking:
            # It may bring what was true before the news.
            self._looking.add(key)
            flight.task.add_done_callback(partial(self._look_after, key, ask_store))

    def doubt(self) -> None:
        """Look at all that is held again once it is asked for: news may have been missed."""
        self._fetcher.peering.doubt()

    def _forget(self, named: Collection[Key]) -> int:
        whole = {
            (key.store, key.id) for key in named if key.version is None and key.environment is None
        }
        held, absent, flights = self._ledger.held, self._ledger.absent, self._fetcher.flights
        dropped = 0
        for key in {*named, *held.keys(), *absent.keys(), *flights.keys()}:
            if (key.store, key.id) in whole or key.anyones in named:
                dropped += held.peek(key) is not None
                flights.forget(key)
                absent.drop(key)
                self._ledger.drop(key)
        self._ledger.tell_size()
        return dropped

    def _look_after(self, key: Key, ask_store: bool, ended: asyncio.Task[Outcome]) -> None:
        self._looking.discard(key)
        if not ended.cancelled():
            self.look(key, ask_store=ask_store)
