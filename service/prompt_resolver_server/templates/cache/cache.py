"""The templates that this process holds: fresh while their store answers, and there when not.

For as long as its time to live lasts, a template is served from memory. After that it is still
served, while one fetch asks the store; where the store does not answer, or answers with something
that is no prompt, it goes on being served and says so. Only the store itself can end it: by
answering that there is no such prompt, or that the key may not have it.
"""

import asyncio
import hmac
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from ...errors import CallError, Reason, ResolverError, ServerError, TemplateError
from ...explaining import explaining, tell
from ...metrics import Metrics
from ...prompts import CacheResult, PromptRef, ServedTemplate, Template
from ...values import Value
from .backoff import AT_ONCE, Outage, Retry
from .entries import Absence, Entries, Held, Key
from .flights import Flight, Flights
from .inventory import Inventory
from .listener import CacheListener
from .peering import Peering
from .peers import Peers
from .source import Member, Source, store_unknown
from .steps import tell_fetched, tell_looked, tell_query

_log = logging.getLogger(__name__)

_ABSENT = frozenset({Reason.PROMPT_NOT_FOUND, Reason.VERSION_NOT_FOUND})
_ENDING = _ABSENT | {Reason.STORE_AUTH}
# By how much a refresh may come early, so that what was fetched together is not for ever.
_JITTER = 0.1

_Outcome: TypeAlias = Template | Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much is held at most, and for how many seconds a prompt is believed to be absent."""

    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    negative_ttl_s: float = 5.0


_DEFAULT_LIMITS = CacheLimits()


class _Query(Value, frozen=True):
    """What is asked for: the key that it is held under, and what its store needs to know."""

    key: Key
    source: Source
    ref: PromptRef
    caller_key: str | None


class TemplateCache:
    """Serves templates of several stores. Owns the stores and closes them.

    Lives on one event loop. `clock` gives monotonic seconds, and `draw` numbers from 0 to 1, which
    spread refreshes and retries. `salt` is what callers' keys are hashed with: the same one again
    finds again what they opened. `peers` are asked before the stores are, and in place of one that
    does not answer; they are closed with the cache. `inventory` tells what is held.
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
    ) -> None:
        self.sources = sources
        self._default_store = default_store
        self._metrics = metrics
        self._clock = clock
        self._negative_ttl_s = limits.negative_ttl_s
        self._held: Entries[Held] = Entries(limits.max_entries, limits.max_bytes)
        # Apart from what is held, so that nobody who asks for nonsense pushes out what is.
        self._absent: Entries[Absence] = Entries(limits.max_entries, limits.max_bytes)
        self._flights: Flights[Key, _Outcome] = Flights()
        self._salt = salt or secrets.token_bytes(32)
        self._draw = draw
        self._outages = {name: Outage(draw) for name in sources}
        self._listeners: list[CacheListener] = []
        self._peering = Peering(peers, self._held, hold=self._hold, clock=clock)
        self._looking: set[Key] = set()
        self.inventory = Inventory(
            self._held,
            sources=sources,
            default_store=default_store,
            clock=clock,
        )

    @property
    def cache(self) -> "TemplateCache":
        """This cache itself, which is a `TemplateSupply` without chains."""
        return self

    def listen(self, listener: CacheListener) -> None:
        """Tell a listener of all changes from now on."""
        self._listeners.append(listener)

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
        store: what it opens is served to nobody else. `deadline` is on the event loop's clock; at
        it, what is held is served, and the fetch goes on. `as_fallback` tells that another store
        should have served. Raises what the store raises, STORE_UNKNOWN, and DEADLINE.
        """
        query = self._query(ref, caller_key)
        explained = explaining() is not None
        if explained:
            tell_query(query.key, query.source)
        served = None if refresh else self._from_memory(query)
        if explained:
            tell_looked(served, refresh=refresh)
        if served is None:
            served = await self._from_store(query, refresh=refresh, deadline=deadline)
        if as_fallback:
            served = replace(served, cache="fallback", reason="fallback")
        self._metrics.template_served(query.key.store, served.cache)
        return served

    async def renew(
        self, ref: PromptRef, *, deadline: float, caller_key: str | None = None
    ) -> None:
        """Have a template held and current, as a call of `get` would, but serve it to nobody.

        Where its store is due to be asked, the answer is waited for. Raises what `get` raises, and
        nothing where a store fails and there is a copy to serve.
        """
        query = self._query(ref, caller_key)
        held = self._held.get(query.key)
        now = self._clock()
        if held is None:
            self._check_absence(query, now)
        elif not self._is_due(query, held, now):
            return
        flight = self._flights.get(query.key)
        if flight is None:
            flight = self._begin(query, held.template if held is not None else None)
        try:
            outcome = await flight.wait(deadline)
        except TimeoutError:
            raise _too_late(query) from None
        if isinstance(outcome, Exception) and self._held.peek(query.key) is None:
            raise _anew(outcome)

    def invalidate(self, refs: Sequence[PromptRef]) -> int:
        """Forget what is held of these prompts, whoever's key opened it; return how many copies.

        A reference without a selector means every version. That a prompt is absent is forgotten,
        too, and what a store answers right now goes to those who wait for it, and to nobody else.
        Raises STORE_UNKNOWN, and then nothing is forgotten.
        """
        named = {self.key(ref) for ref in refs}
        dropped = self._forget(named)
        # In the end, so that the others find none of it shared any more.
        for key in named:
            self._peering.forgotten(key)
        return dropped

    def forget(self, key: Key) -> None:
        """Forget what is held under a key, as another replica's operator has it."""
        self._forget({key})

    def _forget(self, named: set[Key]) -> int:
        whole = {
            (key.store, key.id) for key in named if key.version is None and key.environment is None
        }
        dropped = 0
        for key in {*named, *self._held.keys(), *self._absent.keys(), *self._flights.keys()}:
            if (key.store, key.id) in whole or key.anyones in named:
                dropped += self._held.peek(key) is not None
                self._flights.forget(key)
                self._absent.drop(key)
                self._drop(key)
        self._tell_size()
        return dropped

    def key(self, ref: PromptRef, caller_key: str | None = None) -> Key:
        """Return what the template that `ref` names is held under. Raises STORE_UNKNOWN."""
        return self._query(ref, caller_key).key

    def credential(self, caller_key: str | None) -> bytes:
        """Return what stands for a caller's own key in the keys of templates; empty for none."""
        if caller_key is None:
            return b""
        return hmac.digest(self._salt, caller_key.encode("utf-8", "surrogatepass"), "sha256")

    def find(self, store: str | None) -> tuple[str, Source]:
        """Return a store, or the default one, with its name. Raises STORE_UNKNOWN."""
        name = store if store is not None else self._default_store
        source = self.sources.get(name)
        if source is None:
            raise store_unknown(name, self.sources)
        return name, source

    def members(self, store: str | None) -> tuple[Member]:
        """Return the store of this name, or the default one. Raises STORE_UNKNOWN."""
        name, source = self.find(store)
        return (Member(name, source.store),)

    def is_down(self, store: str) -> bool:
        """Tell whether a store failed when it was last asked, and would for all that it has."""
        return self._outages[store].is_down

    def restore(self, key: Key, template: Template, *, age_s: float) -> bool:
        """Hold a copy from before this process, if there is room; return whether it is held.

        It is served until its store has confirmed it or another, which it is asked for at once.
        """
        held = Held(template, self._clock() - age_s, restored=True)
        kept = self._held.fill(key, held)
        self._tell_size()
        return kept

    def look(self, key: Key, *, ask_store: bool = False) -> None:
        """Look again at what is held under a key: at what is shared, or else at the store."""
        self._absent.drop(key)
        held = self._held.get(key)
        if held is None:
            return
        flight = self._flights.get(key)
        if flight is None:
            ref = PromptRef(
                id=key.id, store=key.store, version=key.version, environment=key.environment
            )
            query = _Query(key, self.sources[key.store], ref, None)
            self._begin(query, held.template, refresh=ask_store)
        elif key not in self._looking:
            # It may bring what was true before the news.
            self._looking.add(key)
            flight.task.add_done_callback(partial(self._look_after, key, ask_store))

    def doubt(self) -> None:
        """Look at all that is held again once it is asked for: news may have been missed."""
        self._peering.doubt()

    async def aclose(self) -> None:
        """End the fetches that run, and close the stores."""
        await self._flights.aclose()
        await self._peering.aclose()
        for source in self.sources.values():
            await source.store.aclose()

    def _query(self, ref: PromptRef, caller_key: str | None) -> _Query:
        name, source = self.find(ref.store)
        credential = b"" if caller_key is None else self.credential(caller_key)
        key = Key(name, ref.id, ref.version, ref.environment, credential)
        return _Query(key, source, ref, caller_key)

    def _check_absence(self, query: _Query, now: float) -> None:
        """Raise what the store said instead of a prompt, while it is not to be asked again."""
        absence, outage = self._absent.get(query.key), self._outages[query.key.store]
        if absence is not None and not outage.may_ask(absence.retry, now):
            tell("cache", "the store is not to be asked again yet", reason=absence.error.reason)
            raise absence.error.again()

    def _is_due(self, query: _Query, held: Held, now: float) -> bool:
        """Tell whether the store is to be asked for what is held, and may be."""
        if now < held.due_at and not held.restored:
            return False
        if self._confirms(query, held, now):
            return False
        return self._outages[query.key.store].may_ask(held.retry, now)

    def _confirms(self, query: _Query, held: Held, now: float) -> bool:
        """Tell whether a store confirms at once what is held, and take note of it."""
        if not query.source.store.confirms(held.template):
            return False
        failed = held.failures > 0
        held.confirmed_at, held.due_at = now, self._due_at(query.source, now)
        held.retry, held.restored = AT_ONCE, False
        if failed:
            self._tell_confirmed(query.key, held, changed=False)
        return True

    def _from_memory(self, query: _Query) -> ServedTemplate | None:
        """Return what may be served at once, and begin the fetch that it is due."""
        now, source = self._clock(), query.source
        held = self._held.get(query.key)
        outage = self._outages[query.key.store]
        if held is None:
            self._check_absence(query, now)
            return None
        outlived = now - held.confirmed_at >= source.ttl_s
        fresh = not (outlived or held.restored)
        if fresh and now < held.due_at:
            return self._serve(query, held, "hit")
        if self._confirms(query, held, now):
            return self._serve(query, held, "hit")
        if source.ttl_s == 0:
            return None
        if self._flights.get(query.key) is None and outage.may_ask(held.retry, now):
            self._begin(query, held.template)
        if fresh:
            return self._serve(query, held, "hit")
        return self._serve(query, held, "stale", stale=outlived and held.failures > 0)

    async def _from_store(self, query: _Query, *, refresh: bool, deadline: float) -> ServedTemplate:
        """Wait for the store, and return what it says, or what is held where it says nothing."""
        before = self._held.get(query.key)
        try:
            flight = await self._flight(query, refresh=refresh, deadline=deadline)
            outcome = await flight.wait(deadline)
        except TimeoutError:
            if held := self._held.get(query.key):
                return self._serve(query, held, "stale", stale=True)
            raise _too_late(query) from None
        if explaining() is not None:
            tell_fetched(outcome)
        held = self._held.get(query.key)
        if isinstance(outcome, Exception):
            if held is None or isinstance(outcome, CallError):
                raise _anew(outcome)
            return self._serve(query, held, "stale", stale=True)
        result: CacheResult = "bypass" if refresh else "miss"
        if not refresh and before is not None and outcome is before.template:
            result = "hit"
        # A template that is too large to be held is served all the same.
        return self._serve(query, held or Held(outcome, self._clock()), result)

    async def _flight(self, query: _Query, *, refresh: bool, deadline: float) -> Flight[_Outcome]:
        """Return the fetch to wait for: where the store is to be asked now, one that began after.

        One that began before may have read what was there before an edit that the caller knows of.
        """
        last_number = self._flights.last_number
        now = refresh or query.source.ttl_s == 0
        while (flight := self._flights.get(query.key)) is not None:
            if not now or flight.number > last_number:
                return flight
            await flight.wait(deadline)
        held = self._held.get(query.key)
        template = held.template if held is not None and not refresh else None
        return self._begin(query, template, refresh=refresh)

    def _begin(
        self, query: _Query, held: Template | None, *, refresh: bool = False
    ) -> Flight[_Outcome]:
        self._outages[query.key.store].asked(self._clock())
        return self._flights.begin(query.key, lambda: self._fetch(query, held, refresh=refresh))

    async def _fetch(self, query: _Query, held: Template | None, *, refresh: bool) -> _Outcome:
        """Take what another replica has been told lately, or ask the store."""
        key, ttl_s = query.key, query.source.ttl_s
        if not refresh:
            spared = await self._peering.spare(key, ttl_s=ttl_s, held=held)
            if spared is not None:
                return spared
        outcome = await self._ask(query, held)
        if not isinstance(outcome, Exception) or _ends(outcome):
            return outcome
        if await self._peering.stand_in(key):
            self._note_failure(query, outcome)
        return outcome

    async def _ask(self, query: _Query, held: Template | None) -> _Outcome:
        """Ask the store, and take note of what it says."""
        name, asked_at, started = query.key.store, self._clock(), time.perf_counter()
        outcome = "cancelled"
        try:
            template = await query.source.store.fetch(query.ref, held, caller_key=query.caller_key)
            outcome = "ok"
        except ResolverError as error:
            outcome = error.metadata.get("problem", error.reason.lower())
            self._note_failure(query, error)
            return error
        except Exception as fault:  # noqa: BLE001 - a fault of ours, told to whoever waits
            outcome = Reason.INTERNAL.lower()
            self._note_failure(query, fault)
            return fault
        finally:
            self._metrics.template_fetched(name, outcome, time.perf_counter() - started)
        # What is true is what was true when the store was asked.
        now = self._hold(query.key, template, asked_at)
        if now is not None:
            self._peering.confirmed(query.key, now)
        return template

    def _hold(self, key: Key, template: Template, confirmed_at: float) -> Held | None:
        """Hold what the store has told us, or another replica, unless that was forgotten since."""
        self._outages[key.store].answered()
        if not self._flights.is_current(key):
            return None
        self._absent.drop(key)
        before = self._held.get(key)
        due_at = self._due_at(self.sources[key.store], confirmed_at)
        now = (before or Held(template, confirmed_at)).renewed(template, confirmed_at, due_at)
        self._held.put(key, now)
        self._tell_size()
        changed = before is None or before.template is not template
        self._tell_confirmed(key, now, changed=changed)
        return now

    def _look_after(self, key: Key, ask_store: bool, ended: asyncio.Task[_Outcome]) -> None:
        self._looking.discard(key)
        if not ended.cancelled():
            self.look(key, ask_store=ask_store)

    def _tell_confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        for listener in self._listeners:
            listener.confirmed(key, held, changed=changed)

    def _drop(self, key: Key) -> None:
        self._held.drop(key)
        self._peering.gone(key)
        for listener in self._listeners:
            listener.dropped(key)

    def _due_at(self, source: Source, confirmed_at: float) -> float:
        return confirmed_at + source.ttl_s * (1 - _JITTER * self._draw())

    def _note_failure(self, query: _Query, error: Exception) -> None:
        """Keep what is held through a failure, unless the store says that it must go."""
        if not self._flights.is_current(query.key):
            return
        now, outage = self._clock(), self._outages[query.key.store]
        reason = error.reason if isinstance(error, ResolverError) else Reason.INTERNAL
        if reason in _ABSENT or isinstance(error, TemplateError):
            outage.answered()
        if reason in _ABSENT:
            self._drop(query.key)
            believed_s = min(self._negative_ttl_s, query.source.ttl_s)
            self._remember(query, error, Retry.at(now + believed_s))
        elif reason is Reason.STORE_AUTH:
            # A key that was taken back opens nothing any more.
            self._drop(query.key)
            self._absent.drop(query.key)
        elif held := self._held.get(query.key):
            held.retry = outage.failed(error, held.retry, now, own_key=query.caller_key is None)
            self._peering.failed(query.key)
            for listener in self._listeners:
                listener.failing(query.key, held)
            _log.warning(
                "a store fails, what is held is served",
                extra={"store": query.key.store, "reason": str(reason)},
            )
        elif not isinstance(error, CallError):
            absence = self._absent.get(query.key)
            before = absence.retry if absence is not None else AT_ONCE
            retry = outage.failed(error, before, now, own_key=query.caller_key is None)
            self._remember(query, error, retry)
        self._tell_size()

    def _remember(self, query: _Query, error: Exception, retry: Retry) -> None:
        """Have an error told again until its store may be asked again."""
        if query.source.ttl_s > 0 and isinstance(error, ResolverError):
            # As it was raised, it would keep all that the fetch had at hand.
            self._absent.put(query.key, Absence(error.again(), retry))

    def _serve(
        self, query: _Query, held: Held, result: CacheResult, *, stale: bool = False
    ) -> ServedTemplate:
        now = self._clock()
        held.served, held.served_at = held.served + 1, now
        if held.restored and result == "stale":
            result = "fallback"
        return ServedTemplate(
            template=held.template,
            store=query.key.store,
            cache=result,
            reason=query.source.reason(query.key),
            age_s=max(0.0, now - held.confirmed_at),
            stale=stale,
        )

    def _tell_size(self) -> None:
        self._metrics.cache_holds(len(self._held), self._held.size)


def _ends(failure: Exception) -> bool:
    """Tell whether a failure is the store's word on the prompt: nothing is served in its place."""
    return isinstance(failure, CallError) or (
        isinstance(failure, ResolverError) and failure.reason in _ENDING
    )


def _too_late(query: _Query) -> ServerError:
    return ServerError(
        Reason.DEADLINE,
        f"the deadline passed while store {query.key.store!r} was asked",
        metadata={"phase": "fetch", "attempts": "0"},
    )


def _anew(failure: Exception) -> Exception:
    """Return a failure as it may be raised once more."""
    return failure.again() if isinstance(failure, ResolverError) else failure
