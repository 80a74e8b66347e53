"""What a cache does with what its peers know: whether its store has to be asked at all."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from math import inf

from ...domain.prompts import Template
from .entries import Entries, Held, Key
from .outage import Retry
from .peers import SAME_MOMENT_S, Copy, Peers

# How soon to look again whether another replica has got an answer of the store.
_RETRY_S = 0.25
_MAX_TIMES = 10_000

Hold = Callable[[Key, Template, float], Held]
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
        # What was shared before then is no copy, for as long as it may still be found.
        self._dropped_at = _Times()
        # What is older than that is no news, even where it is no longer held for want of room.
        self._confirmed_at = _Times()

    async def spare(self, key: Key, *, ttl_s: float, held: Template | None) -> Held | None:
        """Return what is to be served without asking the store; None if the store has to be asked.

        That is what a peer was told within the time to live, or what is held while a peer asks.
        """
        if ttl_s == 0 or (peers := self._of(key)) is None:
            return None
        asked_at = self._clock()
        copy = await peers.find(key, held)
        shared = self._date(key, copy, asked_at)
        if shared is not None and self._is_news(key, shared, ttl_s):
            return self._hold(key, shared.template, shared.confirmed_at)
        own = self._held.get(key)
        if held is None or own is None:
            return None
        if shared is not None and self._is_current(own, ttl_s) and not _is_in_doubt(own, shared):
            return own
        return None if await peers.claim(key, copy) else self._leave_to_peer(own)

    async def stand_in(self, key: Key) -> bool:
        """Hold what a peer knew, whatever its age, where nothing is held; tell whether it is."""
        peers = self._of(key)
        if peers is None or self._held.get(key) is not None:
            return False
        asked_at = self._clock()
        shared = self._date(key, await peers.find(key, None), asked_at)
        if shared is None:
            return False
        self._hold(key, shared.template, shared.confirmed_at).restored = True
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
        if self._of(key) is not None:
            self._confirmed_at.note(key, held.confirmed_at)

    def recalled(self, key: Key, held: Held) -> None:
        """Tell nobody: no store has confirmed it."""

    def failing(self, key: Key, held: Held) -> None:
        """Tell the peers that the store did not answer."""
        if (peers := self._of(key)) is not None:
            peers.failed(key)

    def dropped(self, key: Key) -> None:
        """Tell the peers that the store gives something no longer, and believe no older copy."""
        if (peers := self._of(key)) is not None:
            self._dropped_at.note(key, self._clock())
            peers.gone(key)

    def forgotten(self, key: Key) -> None:
        """Have the peers forget what an operator has forgotten here."""
        if (peers := self._of(key)) is not None:
            peers.forgotten(key)

    def abandon(self, stores: Collection[str]) -> None:
        """Forget what was known of stores that are gone or elsewhere, and tell the peers nothing.

        Theirs may still be there.
        """
        for times in (self._dropped_at, self._confirmed_at):
            times.forget(stores)

    async def aclose(self) -> None:
        """Leave the peers."""
        if self._peers is not None:
            await self._peers.aclose()

    def _of(self, key: Key) -> Peers | None:
        return self._peers if self._peers is not None and self._peers.shares(key) else None

    def _date(self, key: Key, copy: Copy | None, asked_at: float) -> Held | None:
        """Return a copy with the time of its confirmation, unless it was dropped here since.

        However long it took to be found, it is not younger than that.
        """
        if copy is None:
            return None
        confirmed_at = asked_at - copy.age_s
        if confirmed_at < self._dropped_at.get(key) + SAME_MOMENT_S:
            return None
        return Held(copy.template, confirmed_at)

    def _is_news(self, key: Key, shared: Held, ttl_s: float) -> bool:
        """Tell whether a copy makes asking the store needless: it is fresh, and newer than ours."""
        newest_at = self._confirmed_at.get(key) - SAME_MOMENT_S
        if (held := self._held.get(key)) is not None:
            newest_at = held.confirmed_at
            if shared.template is held.template:
                newest_at += SAME_MOMENT_S
        return shared.confirmed_at > max(newest_at, self._clock() - ttl_s)

    def _is_current(self, held: Held, ttl_s: float) -> bool:
        """Tell whether what is held is fresh: then it is only looked at for news."""
        now = self._clock()
        return not held.restored and now < min(held.due_at, held.confirmed_at + ttl_s)

    def _leave_to_peer(self, held: Held) -> Held:
        """Let the replica that asks the store ask it for all, and look again soon.

        While the store is down, no sooner than if it had been asked.
        """
        now = self._clock()
        soon = now + _RETRY_S
        held.due_at = min(held.due_at, now)
        held.retry = Retry(held.failures, soon, max(soon, held.retry.latest_at))
        return held


def _is_in_doubt(held: Held, shared: Held) -> bool:
    """Tell whether another version is shared, of which nobody knows whether it is the newer one.

    What is shared may have taken a newer one's place in its moment, and looks older by another one
    from here.
    """
    apart_s = abs(held.confirmed_at - shared.confirmed_at)
    return shared.template is not held.template and apart_s < 2 * SAME_MOMENT_S


class _Times:
    """When something happened last, by key: of the keys to which it happened lately."""

    def __init__(self) -> None:
        self._times: OrderedDict[Key, float] = OrderedDict()

    def get(self, key: Key) -> float:
        return self._times.get(key, -inf)

    def forget(self, stores: Collection[str]) -> None:
        for key in [key for key in self._times if key.store in stores]:
            del self._times[key]

    def note(self, key: Key, time: float) -> None:
        self._times[key] = time
        self._times.move_to_end(key)
        if len(self._times) > _MAX_TIMES:
            self._times.popitem(last=False)
