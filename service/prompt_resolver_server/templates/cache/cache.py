"""The templates that this process holds: fresh while their store answers, and there when not.

For as long as its time to live lasts, a template is served from memory. After that it is still
served, while one fetch asks the store; where the store does not answer, or answers with something
that is no prompt, it goes on being served and says so. Only the store itself can end it: by
answering that there is no such prompt, or that the key may not have it.
"""

import asyncio
import hmac
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf

from msgspec.structs import replace

from ...domain.errors import CallError
from ...domain.explaining import explaining
from ...domain.prompts import CacheResult, PromptRef, ServedTemplate, Template
from ...metrics import Metrics
from .copies import Copies
from .entries import Held, Key
from .fetcher import Fetcher
from .flights import ahead_of
from .invalidation import Invalidation
from .inventory import Inventory
from .ledger import CacheLimits, Ledger
from .listener import CacheListener
from .peers import Peers
from .source import Lookup, Source, store_unknown, too_late
from .sources import Replacement, Sources
from .steps import tell_fetched, tell_looked, tell_query

_DEFAULT_LIMITS = CacheLimits()
# What a store needs to answer when it is there.
_MOMENT_S = 0.5


class TemplateCache:
    """Serves templates of several stores. Owns the stores and closes them.

    Lives on one event loop. `clock` gives monotonic seconds, and `draw` numbers from 0 to 1, which
    spread refreshes and retries. `salt` is what callers' keys are hashed with: the same one again
    finds again what they opened. `peers` are asked before the stores are, and in place of one that
    does not answer; they are closed with the cache. `copies` follow the cache, and serve in place
    of a store that does not answer where nothing is held. `inventory` tells what is held, which
    `invalidation` takes back.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        default_store: str,
        metrics: Metrics,
        limits: CacheLimits = _DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        salt: bytes | None = None,
        peers: Peers | None = None,
        copies: Copies | None = None,
    ) -> None:
        self._sources = Sources(sources)
        self.default_store = default_store
        self._metrics = metrics
        self._clock = clock
        self._salt = salt or secrets.token_bytes(32)
        self._current = current = self._sources.current
        self._ledger = Ledger(current, limits=limits, metrics=metrics, clock=clock, draw=draw)
        self._fetcher = Fetcher(
            current, self._ledger, peers=peers, copies=copies, metrics=metrics, clock=clock
        )
        # What is looked at by each call.
        self._held, self._flights = self._ledger.held, self._fetcher.flights
        self.inventory = Inventory(
            self._held, sources=current, default_store=default_store, clock=clock
        )
        self.invalidation = Invalidation(current, self._ledger, self._fetcher)

    @property
    def sources(self) -> Mapping[str, Source]:
        """The stores that are served, by name."""
        return self._current

    def adopt(
        self, sources: Mapping[str, Source], *, default_store: str, limits: CacheLimits
    ) -> Replacement:
        """Serve these stores from now on, within these limits; see `Sources.replace`.

        What a store served is held on if it is still at the same place, and asked for again when it
        is needed. What is being fetched from a store that was replaced goes to those who wait. Such
        stores are to be released.
        """
        replacement = self._sources.replace(sources)
        self._fetcher.adopt(replacement)
        self._ledger.adopt(replacement, limits)
        self.default_store = self.inventory.default_store = default_store
        return replacement

    async def release(self, replacement: Replacement) -> None:
        """Close what was replaced, once all calls have ended that ran by then."""
        if forgotten := self._flights.forgotten:
            await asyncio.wait(forgotten)
        await self._sources.release(replacement.outgoing)

    def listen(self, listener: CacheListener) -> None:
        """Tell a listener of all changes from now on."""
        self._ledger.listen(listener)

    async def get(
        self,
        ref: PromptRef,
        *,
        refresh: bool,
        deadline: float,
        caller_key: str | None = None,
        as_fallback: bool = False,
    ) -> ServedTemplate:
        """Return the template that `ref` names.

        `refresh` asks the store whatever is held. `caller_key` is the caller's own key of the
        store: what it opens is served to nobody else. `deadline` is on the event loop's clock; in
        time for it, what is held is served, and the fetch goes on. `as_fallback` tells that another
        store should have served. Raises what the store raises, STORE_UNKNOWN, and DEADLINE.
        """
        lookup = self._lookup(ref, caller_key)
        explained = explaining() is not None
        if explained:
            tell_query(lookup.key, lookup.source)
        served = None if refresh else self._from_memory(lookup)
        if explained:
            tell_looked(served, refresh=refresh)
        if served is None:
            served = await self._from_store(lookup, refresh=refresh, deadline=deadline)
        if as_fallback:
            served = replace(served, cache="fallback", reason="fallback")
        self._metrics.templates[lookup.key.store, served.cache].value += 1
        if served.stale:
            self._metrics.stale_served(lookup.key.store)
        return served

    async def renew(
        self, ref: PromptRef, *, deadline: float, caller_key: str | None = None
    ) -> None:
        """Refresh a template as `get` would, without serving it.

        Where its store is due to be asked, the answer is waited for. Raises what `get` raises, and
        nothing where a store fails and there is a copy to serve.
        """
        lookup = self._lookup(ref, caller_key)
        if lookup.key.store not in self.sources:
            raise store_unknown(lookup.key.store, self.sources)
        held = self._held.get(lookup.key)
        now = self._clock()
        if held is None:
            self._ledger.check_absence(lookup, now)
        elif not self._is_due(lookup, held, now):
            return
        flight = self._flights.get(lookup.key) or self._fetcher.begin(lookup)
        try:
            outcome = await flight.wait(deadline)
        except TimeoutError:
            raise too_late(lookup) from None
        if isinstance(outcome, Exception) and self._held.peek(lookup.key) is None:
            raise self._ledger.anew(lookup.key, outcome)

    def invalidate(self, refs: Sequence[PromptRef]) -> int:
        """Forget what is held of these prompts, in all replicas; return how many copies went here.

        See `Invalidation.invalidate`. Raises STORE_UNKNOWN, and then nothing is forgotten.
        """
        return self.invalidation.invalidate({self.key(ref) for ref in refs})

    def key(self, ref: PromptRef, caller_key: str | None = None) -> Key:
        """Return what the template that `ref` names is held under. Raises STORE_UNKNOWN."""
        return self._lookup(ref, caller_key).key

    def credential(self, caller_key: str | None) -> bytes:
        """Return what stands for a caller's own key in the keys of templates; empty for none."""
        if caller_key is None:
            return b""
        return hmac.digest(self._salt, caller_key.encode("utf-8", "surrogatepass"), "sha256")

    def find(self, store: str | None) -> tuple[str, Source]:
        """Return a store, or the default one, with its name. Raises STORE_UNKNOWN."""
        name = store if store is not None else self.default_store
        return name, self._current.get(name) or self._sources.find(name)

    def is_fetching(self, key: Key) -> bool:
        """Tell whether a fetch goes on whose answer will be held; one that is forgotten is none."""
        return self._flights.get(key) is not None

    def is_down(self, store: str) -> bool:
        """Tell whether a store failed when it was last asked, and would for all that it has."""
        return self._ledger.is_down(store)

    def patience_s(self, ref: PromptRef, caller_key: str | None) -> float:
        """Return for how many seconds to wait for a template that another store may have.

        0 where its store is down and failed for it, too. One that is down may fail for some prompts
        alone, so it has a moment for the others. Raises STORE_UNKNOWN.
        """
        if not self.is_down(ref.store if ref.store is not None else self.default_store):
            return inf
        key = self.key(ref, caller_key)
        return 0.0 if self._ledger.has_failed(key) else _MOMENT_S

    def restore(self, key: Key, template: Template, *, age_s: float) -> bool:
        """Hold a copy from before this process, if there is room; return whether it is held.

        It is served until its store has confirmed it or another, which it is asked for at once.
        """
        return self._ledger.restore(key, template, age_s=age_s)

    async def aclose(self) -> None:
        """End the fetches that run, and close the stores."""
        await self._fetcher.aclose()
        await self._sources.aclose()

    def _lookup(self, ref: PromptRef, caller_key: str | None) -> Lookup:
        name, source = self.find(ref.store)
        credential = b"" if caller_key is None else self.credential(caller_key)
        key = Key(name, ref.id, ref.version, ref.environment, credential)
        return Lookup(key, source, ref, caller_key)

    def _is_due(self, lookup: Lookup, held: Held, now: float) -> bool:
        """Tell whether the store is to be asked for what is held, and may be."""
        if now < held.due_at and not held.restored:
            return False
        if self._ledger.confirm(lookup, held, now):
            return False
        return self._ledger.admits_refresh(lookup.key, held, now)

    def _from_memory(self, lookup: Lookup) -> ServedTemplate | None:
        """Return what may be served at once, and begin the fetch that it is due."""
        now, ttl_s = self._clock(), lookup.source.ttl_s
        held = self._held.get(lookup.key)
        if held is None:
            self._ledger.check_absence(lookup, now)
            return None
        outlived = now - held.confirmed_at >= ttl_s
        fresh = not (outlived or held.restored)
        if fresh and now < held.due_at:
            return self._serve(lookup, held, "hit")
        if self._ledger.confirm(lookup, held, now):
            return self._serve(lookup, held, "hit")
        if ttl_s == 0:
            return None
        if self._flights.get(lookup.key) is None and self._ledger.admits_refresh(
            lookup.key, held, now
        ):
            self._fetcher.begin(lookup)
        if fresh:
            return self._serve(lookup, held, "hit")
        return self._serve(lookup, held, "stale", stale=outlived and held.failures > 0)

    async def _from_store(
        self, lookup: Lookup, *, refresh: bool, deadline: float
    ) -> ServedTemplate:
        """Wait for the store, and return what it says, or what is held where it says nothing."""
        before = self._held.get(lookup.key)
        until = deadline if before is None else ahead_of(deadline)
        try:
            flight = await self._fetcher.join(lookup, refresh=refresh, deadline=until)
            outcome = await flight.wait(until)
        except TimeoutError:
            if held := self._held.get(lookup.key):
                return self._serve(lookup, held, "stale", stale=True)
            raise too_late(lookup) from None
        if explaining() is not None:
            tell_fetched(outcome)
        held = self._held.get(lookup.key)
        if isinstance(outcome, Exception):
            if held is None or isinstance(outcome, CallError):
                raise self._ledger.anew(lookup.key, outcome)
            return self._serve(lookup, held, "stale", stale=True)
        if outcome.restored:
            stale = self._clock() - outcome.confirmed_at >= lookup.source.ttl_s
            return self._serve(lookup, outcome, "stale", stale=stale)
        result: CacheResult = "bypass" if refresh else "miss"
        if not refresh and before is not None and outcome.template is before.template:
            result = "hit"
        # What is too large to be held, or was forgotten on its way, is served all the same.
        if held is None or held.confirmed_at < outcome.confirmed_at:
            held = outcome
        return self._serve(lookup, held, result)

    def _serve(
        self, lookup: Lookup, held: Held, result: CacheResult, *, stale: bool = False
    ) -> ServedTemplate:
        now = self._clock()
        held.served, held.served_at = held.served + 1, now
        if held.restored and result == "stale":
            result = "fallback"
        return ServedTemplate(
            template=held.template,
            store=lookup.key.store,
            cache=result,
            reason=lookup.source.reason(lookup.key),
            age_s=max(0.0, now - held.confirmed_at),
            stale=stale,
        )
