"""Asks the stores: each once at a time for a key, and other replicas before them."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ...domain.errors import Blame, CallError, Reason, ResolverError
from ...domain.prompts import Template
from ...logs import place_of
from ...metrics import Metrics
from .copies import Copies
from .entries import Held, Key
from .flights import Flight, Flights
from .ledger import ABSENT, Ledger
from .peering import Peering
from .peers import Peers
from .source import Lookup, Source
from .sources import Replacement

_log = logging.getLogger(__name__)

_ENDING = ABSENT | {Reason.STORE_AUTH}

Outcome: TypeAlias = Held | Exception
"""What a fetch came to: a template, held or not, or the failure to raise."""


class Fetcher:
    """Fetches templates, and has the ledger take note of what comes of it.

    What is forgotten while it is fetched goes to those who wait for it, and to nobody else.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        ledger: Ledger,
        *,
        peers: Peers | None,
        copies: Copies | None,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.flights: Flights[Key, Outcome] = Flights()
        self.peering = Peering(peers, ledger.held, hold=self._hold, clock=clock)
        self._copies = copies
        self._sources = sources
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        ledger.listen(self.peering)
        if copies is not None:
            ledger.listen(copies)

    async def join(self, lookup: Lookup, *, refresh: bool, deadline: float) -> Flight[Outcome]:
        """Return the fetch to wait for: with `refresh` or a TTL of 0, one that begins from now on.

        One that began before may have read what was there before an edit that the caller knows of.
        `refresh` has the store itself asked, and answer in full. Raises `TimeoutError`.
        """
        last_number = self.flights.last_number
        anew = refresh or lookup.source.ttl_s == 0
        while (flight := self.flights.get(lookup.key)) is not None:
            if not anew or flight.number > last_number:
                return flight
            await flight.wait(deadline)
        return self.begin(lookup, unconditionally=refresh, past_peers=refresh)

    def begin(
        self, lookup: Lookup, *, unconditionally: bool = False, past_peers: bool = False
    ) -> Flight[Outcome]:
        """Begin a fetch for a key that has none.

        `unconditionally` has the store answer in full, whatever is held; `past_peers` has itself
        asked, whatever the other replicas know.
        """
        held = None if unconditionally else self._ledger.held.peek(lookup.key)
        template = held.template if held is not None else None
        return self.flights.begin(
            lookup.key, lambda: self._fetch(lookup, template, past_peers=past_peers)
        )

    def adopt(self, replacement: Replacement) -> None:
        """Have what is being fetched from stores that were replaced go to those who wait alone."""
        outgoing = replacement.outgoing
        for key in [key for key in self.flights.keys() if key.store in outgoing]:  # noqa: SIM118
            self.flights.forget(key)
        self.peering.abandon(replacement.lost)

    async def aclose(self) -> None:
        """End all fetches, and leave the peers."""
        await self.flights.aclose()
        await self.peering.aclose()

    async def _fetch(self, lookup: Lookup, held: Template | None, *, past_peers: bool) -> Outcome:
        """Take what another replica has been told lately, or ask the store."""
        key, ttl_s = lookup.key, lookup.source.ttl_s
        has_looked = False
        if not past_peers:
            spared = await self.peering.spare(key, ttl_s=ttl_s, held=held)
            if spared is not None:
                return spared
            has_looked = held is None and ttl_s > 0 and self._is_only_elsewhere(key)
            if has_looked and (recalled := await self._recall(key)):
                return recalled
        outcome = await self._ask(lookup, held)
        if not isinstance(outcome, Exception) or _ends(outcome):
            return outcome
        if await self.peering.stand_in(key):
            self._fail(lookup, outcome)
        elif not has_looked and (recalled := await self._recall(key)):
            if self._ledger.held.peek(key) is recalled:
                self._fail(lookup, outcome)
            return recalled
        return outcome

    def _is_only_elsewhere(self, key: Key) -> bool:
        """Tell whether there may be copies, while the store is down and not to be tried."""
        return self._copies is not None and not self._ledger.admits_fetch(key, self._clock())

    async def _recall(self, key: Key) -> Held | None:
        """Hold a copy that is kept elsewhere, where nothing is held; return it if there is one."""
        if self._copies is None or self._ledger.held.peek(key) is not None:
            return None
        copy = await self._copies.find(key)
        if copy is None or not self._is_wanted(key) or self._ledger.held.peek(key) is not None:
            return None
        return self._ledger.recall(key, copy.template, age_s=copy.age_s)

    async def _ask(self, lookup: Lookup, held: Template | None) -> Outcome:
        """Ask the store, and take note of what it says."""
        key, asked_at, started = lookup.key, self._clock(), time.perf_counter()
        outcome = "cancelled"
        try:
            template = await lookup.source.store.fetch(
                lookup.ref, held, caller_key=lookup.caller_key
            )
            outcome = "ok"
        except ResolverError as error:
            outcome = _name(error)
            self._fail(lookup, error)
            return error
        except Exception as fault:  # noqa: BLE001 - a fault of ours, told to whoever waits
            outcome = Reason.INTERNAL.lower()
            # Perhaps nobody waits who would tell.
            _log.error("a fault of a store", extra={"store": key.store, **place_of(fault)})
            self._fail(lookup, fault)
            return fault
        finally:
            self._metrics.template_fetched(key.store, outcome, time.perf_counter() - started)
        # What is true is what was true when the store was asked.
        now = self._hold(key, template, asked_at)
        if self._is_wanted(key):
            self.peering.share(key, now)
        return now

    def _hold(self, key: Key, template: Template, confirmed_at: float) -> Held:
        if self._is_wanted(key):
            return self._ledger.hold(key, template, confirmed_at)
        return Held(template, confirmed_at)

    def _fail(self, lookup: Lookup, error: Exception) -> None:
        if self._is_wanted(lookup.key):
            self._ledger.fail(lookup, error)

    def _is_wanted(self, key: Key) -> bool:
        """Tell whether what the flight that asks brings is to be held: it has not been forgotten.

        Of a store that is gone nothing is.
        """
        return self.flights.is_current(key) and key.store in self._sources


def _name(error: ResolverError) -> str:
    """Return the outcome that a failure is counted as."""
    if error.reason is Reason.STORE_AUTH and error.blame is Blame.CALLER:
        # Nothing that operators could mend.
        return "store_auth_caller_key"
    return error.metadata.get("problem", error.reason.lower())


def _ends(failure: Exception) -> bool:
    """Tell whether a failure is the store's word on the prompt: nothing is served in its place."""
    return isinstance(failure, CallError) or (
        isinstance(failure, ResolverError) and failure.reason in _ENDING
    )
