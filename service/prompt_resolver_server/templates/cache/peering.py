"""What a cache does with what its peers know: whether its store has to be asked at all."""

import math
from collections.abc import Callable

from ...prompts import Template
from .backoff import Retry
from .entries import Entries, Held, Key
from .peers import Copy, Peers

# How soon to look again whether another replica has got an answer of the store.
_RETRY_S = 0.25
# By how much the age of a copy is uncertain, as it takes a while to be told.
_SAME_MOMENT_S = 0.1

Hold = Callable[[Key, Template, float], None]
"""Holds a template that was confirmed at a time of the cache's clock, if it is still wanted."""


class Peering:
    """A cache's side of its peers, of which there may be none. A `CacheListener`.

    `held` is what the cache holds; `hold` adds to it what a peer was told by the store.
    """

    def __init__(
        self,
        peers: Peers | None,
        held: Entries[Held],
        *,
        hold: Hold,
        clock: Callable[[], float],
    ) -> None:
        self._peers = peers
        self._held = held
        self._hold = hold
        self._clock = clock

    async def spare(self, key: Key, *, ttl_s: float, held: Template | None) -> Template | None:
        """Return what is to be held without asking the store; None if the store has to be asked.

        That is what a peer was told within the time to live, or what is held while a peer asks.
        """
        if ttl_s == 0 or (peers := self._of(key)) is None:
            return None
        copy = await peers.find(key, held)
        if copy is not None and self._is_news(key, copy, ttl_s):
            return self._adopt(key, copy)
        if held is None:
            return None
        if copy is not None and self._is_current(key, ttl_s):
            return held
        return None if await peers.claim(key, copy) else self._leave_to_peer(key, held)

    async def stand_in(self, key: Key) -> bool:
        """Hold what a peer knew, whatever its age, where nothing is held; tell whether it is."""
        peers = self._of(key)
        if peers is None or self._held.get(key) is not None:
            return False
        copy = await peers.find(key, None)
        if copy is None:
            return False
        self._adopt(key, copy)
        if (held := self._held.get(key)) is not None:
            held.restored = True
        return True

    def doubt(self) -> None:
        """Have the store asked for all that peers may have changed once it is asked for."""
        now = self._clock()
        for key, held in self._held.recent():
            if self._of(key) is not None:
                held.due_at = min(held.due_at, now)

    def share(self, key: Key, held: Held) -> None:
        """Tell the peers what the store has confirmed."""
        if (peers := self._of(key)) is not None:
            peers.confirmed(key, held)

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        """Tell nobody: it may be of a peer itself, see `share`."""

    def failing(self, key: Key, held: Held) -> None:
        """Tell the peers that the store did not answer."""
        if (peers := self._of(key)) is not None:
            peers.failed(key)

    def dropped(self, key: Key) -> None:
        """Tell the peers that the store gives something no longer."""
        if (peers := self._of(key)) is not None:
            peers.gone(key)

    def forgotten(self, key: Key) -> None:
        """Have the peers forget what an operator has forgotten here."""
        if (peers := self._of(key)) is not None:
            peers.forgotten(key)

    async def aclose(self) -> None:
        """Leave the peers."""
        if self._peers is not None:
            await self._peers.aclose()

    def _of(self, key: Key) -> Peers | None:
        return self._peers if self._peers is not None and self._peers.shares(key) else None

    def _is_news(self, key: Key, copy: Copy, ttl_s: float) -> bool:
        """Tell whether a copy makes asking the store needless: it is fresh, and newer than ours."""
        age_s = math.inf
        if (held := self._held.get(key)) is not None:
            age_s = self._clock() - held.confirmed_at
            if copy.template is held.template:
                age_s -= _SAME_MOMENT_S
        return copy.age_s < min(ttl_s, age_s)

    def _is_current(self, key: Key, ttl_s: float) -> bool:
        """Tell whether what is held is fresh: then it is only looked at for news."""
        held, now = self._held.get(key), self._clock()
        if held is None or held.restored or now >= held.due_at:
            return False
        return now - held.confirmed_at < ttl_s

    def _adopt(self, key: Key, copy: Copy) -> Template:
        """Hold what another replica was told as if we had been."""
        self._hold(key, copy.template, self._clock() - copy.age_s)
        return copy.template

    def _leave_to_peer(self, key: Key, template: Template) -> Template:
        """Let the replica that asks the store ask it for all, and look again soon."""
        if (held := self._held.get(key)) is not None:
            now = self._clock()
            held.due_at = min(held.due_at, now)
            held.retry = Retry(held.failures, now + _RETRY_S, now + _RETRY_S)
        return template
