"""What is known of prompts: what stores have confirmed, and what became of asking them since."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from ...domain.errors import CallError, Reason, ResolverError, TemplateError
from ...domain.prompts import Template
from ...metrics import Metrics
from .entries import Absence, Entries, Held, Key
from .listener import CacheListener
from .outage import AT_ONCE, Outage, Retry
from .source import Lookup, Source
from .sources import Replacement
from .steps import tell_absent

_log = logging.getLogger(__name__)

ABSENT: Final = frozenset({Reason.PROMPT_NOT_FOUND, Reason.VERSION_NOT_FOUND})
"""The reasons that a store gives for a prompt it does not have."""

# By how much a refresh may come early, so that what was fetched together is not for ever.
_JITTER = 0.1
# Allows to ask a store that is down when it is tried for all keys, and not before.
_WHEN_TRIED = Retry(latest_at=inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much is held at most, and for how many seconds a prompt is believed to be absent."""

    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    negative_ttl_s: float = 5.0


class Ledger:
    """Keeps what is held, what is absent, and which stores are down, and tells listeners of it.

    `clock` gives monotonic seconds, and `draw` numbers from 0 to 1.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        limits: CacheLimits,
        metrics: Metrics,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self.held: Entries[Held] = Entries(limits.max_entries, limits.max_bytes)
        # Apart from what is held, so that nobody who asks for nonsense pushes out what is.
        self.absent: Entries[Absence] = Entries(limits.max_entries, limits.max_bytes)
        self.outages = {name: Outage(draw) for name in sources}
        self._sources = sources
        self._negative_ttl_s = limits.negative_ttl_s
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._listeners: list[CacheListener] = []

    def listen(self, listener: CacheListener) -> None:
        """Tell a listener of all changes from now on."""
        self._listeners.append(listener)

    def check_absence(self, lookup: Lookup, now: float) -> None:
        """Raise what the store said in place of a prompt, while it is not to be asked again."""
        absence = self.absent.get(lookup.key)
        if absence is None or self.outages[lookup.key.store].admits(absence.retry, now):
            return
        tell_absent(absence.error)
        raise absence.error.again(retry_after_s=self._wait_s(lookup.key, absence.error))

    def anew(self, key: Key, failure: Exception) -> Exception:
        """Return what asking for a key came to, as it may be raised once more.

        A store that does not say for how long it is to be left alone is asked again when that is
        due, which is told in its place.
        """
        if not isinstance(failure, ResolverError):
            return failure
        if failure.retry_after_s is not None:
            return failure.again()
        return failure.again(retry_after_s=self._wait_s(key, failure))

    def is_down(self, store: str) -> bool:
        """Tell whether a store failed when it was last asked, and would for all that it has."""
        outage = self.outages.get(store)
        return outage is not None and outage.is_down

    def has_failed(self, key: Key) -> bool:
        """Tell whether the store failed when it was last asked for a key, as far as is known."""
        known = self.held.peek(key) or self.absent.peek(key)
        return known is not None and known.retry.failures > 0

    def admits_refresh(self, key: Key, held: Held, now: float) -> bool:
        """Tell whether the store may be asked for what is held, if that is due; see `Outage`."""
        return self.outages[key.store].admits(held.retry, now)

    def admits_fetch(self, key: Key, now: float) -> bool:
        """Tell whether the store may be asked for what is not held, but may be kept elsewhere."""
        outage = self.outages.get(key.store)
        return outage is None or outage.admits(_WHEN_TRIED, now)

    def confirm(self, lookup: Lookup, held: Held, now: float) -> bool:
        """Tell whether the store confirms at once what is held, and take note of it."""
        if not lookup.source.store.confirms(held.template):
            return False
        held.confirmed_at, held.due_at = now, now
        if lookup.source.ttl_s:
            held.due_at = self._due_at(lookup.source, now)
        held.restored = False
        if held.retry is not AT_ONCE:
            failed, held.retry = held.failures > 0, AT_ONCE
            if failed:
                self._tell_answering(lookup.key)
                self._tell_confirmed(lookup.key, held, changed=False)
        return True

    def hold(self, key: Key, template: Template, confirmed_at: float) -> Held:
        """Hold what the store has confirmed, to us or to another replica."""
        self._note_answer(key, confirmed_at)
        self.absent.drop(key)
        before = self.held.get(key)
        due_at = self._due_at(self._sources[key.store], confirmed_at)
        now = (before or Held(template, confirmed_at)).renewed(template, confirmed_at, due_at)
        self._metrics.templates_evicted(self.held.put(key, now))
        self.tell_size()
        changed = before is None or before.template is not template
        self._tell_confirmed(key, now, changed=changed)
        return now

    def restore(self, key: Key, template: Template, *, age_s: float) -> bool:
        """Hold a copy from before this process, if there is room; return whether it is held."""
        held = Held(template, self._clock() - age_s, restored=True)
        kept = self.held.fill(key, held)
        self.tell_size()
        if kept:
            self._tell_recalled(key, held)
        return kept

    def recall(self, key: Key, template: Template, *, age_s: float) -> Held:
        """Hold a copy that was kept elsewhere, in place of what was used the longest time ago."""
        self.absent.drop(key)
        held = Held(template, self._clock() - age_s, restored=True)
        self._metrics.templates_evicted(self.held.put(key, held))
        self.tell_size()
        self._tell_recalled(key, held)
        return held

    def drop(self, key: Key) -> None:
        """Hold nothing any more."""
        self.held.drop(key)
        for listener in self._listeners:
            listener.dropped(key)

    def fail(self, lookup: Lookup, error: Exception) -> None:
        """Keep what is held through a failure, unless the store says that it must go."""
        now, outage = self._clock(), self.outages[lookup.key.store]
        reason = error.reason if isinstance(error, ResolverError) else Reason.INTERNAL
        if isinstance(error, TemplateError):
            outage.answered(now)
        if reason in ABSENT:
            self._note_answer(lookup.key, now)
            self.drop(lookup.key)
            believed_s = min(self._negative_ttl_s, lookup.source.ttl_s)
            self._remember(lookup, error, Retry.at(now + believed_s))
        elif reason is Reason.STORE_AUTH:
            # A key that was taken back opens nothing any more.
            outage.undecided()
            self.drop(lookup.key)
            self.absent.drop(lookup.key)
        elif held := self.held.get(lookup.key):
            held.retry = outage.failed(error, held.retry, now, own_key=lookup.caller_key is None)
            for listener in self._listeners:
                listener.failing(lookup.key, held)
            # The store may be asked with each call, all of which fail alike.
            if held.failures.bit_count() == 1:
                outage.is_told = True
                told = {**_describe(lookup, error), "failures": held.failures}
                _log.warning("a store fails, what is held is served", extra=told)
        elif not isinstance(error, CallError):
            absence = self.absent.get(lookup.key)
            before = absence.retry if absence is not None else AT_ONCE
            retry = outage.failed(error, before, now, own_key=lookup.caller_key is None)
            self._remember(lookup, error, retry)
        self.tell_size()

    def adopt(self, replacement: Replacement, limits: CacheLimits) -> None:
        """Keep what replaced sources have served, but for those that are lost, within new limits.

        What is kept is due, whatever became of asking the source before.
        """
        now, outgoing = self._clock(), replacement.outgoing
        for name in outgoing:
            self.outages.pop(name)
        for name in self._sources:
            self.outages.setdefault(name, Outage(self._draw))
        for key in [key for key in self.absent.keys() if key.store in outgoing]:  # noqa: SIM118
            self.absent.drop(key)
        for key, held in [*self.held.recent()] if outgoing else ():
            if key.store in replacement.lost:
                self.held.drop(key)
            elif key.store in outgoing:
                held.due_at = min(held.due_at, now)
                held.retry = held.retry.now() if held.failures else AT_ONCE
        self._negative_ttl_s = limits.negative_ttl_s
        self._metrics.templates_evicted(self.held.limit(limits.max_entries, limits.max_bytes))
        self.absent.limit(limits.max_entries, limits.max_bytes)
        self.tell_size()

    def tell_size(self) -> None:
        """Tell the metrics how much is held."""
        self._metrics.cache_holds(len(self.held), self.held.size)

    def _wait_s(self, key: Key, error: ResolverError) -> float | None:
        """Return in how many seconds a store that is down is asked for a key again, if known."""
        absence, outage = self.absent.peek(key), self.outages.get(key.store)
        if error.reason is not Reason.STORE_UNAVAILABLE or absence is None or outage is None:
            return None
        return outage.wait_s(absence.retry, self._clock()) or None

    def _remember(self, lookup: Lookup, error: Exception, retry: Retry) -> None:
        """Have an error told again until its store may be asked again."""
        if lookup.source.ttl_s > 0 and isinstance(error, ResolverError):
            # As it was raised, it would keep all that the fetch had at hand.
            self.absent.put(lookup.key, Absence(error.again(), retry))

    def _note_answer(self, key: Key, at: float) -> None:
        """Note that a store was there at a time. The log is told if it had failed until then."""
        outage, held = self.outages[key.store], self.held.get(key)
        had_failed = outage.is_down or (held is not None and held.failures > 0)
        outage.answered(at)
        if had_failed and not outage.is_down:
            self._tell_answering(key)

    def _tell_answering(self, key: Key) -> None:
        """Log that a store answers again, once for all the failures that were told of."""
        outage = self.outages[key.store]
        if outage.is_told:
            outage.is_told = False
            _log.info("a store answers again", extra={"store": key.store, "prompt": key.id})

    def _tell_confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        for listener in self._listeners:
            listener.confirmed(key, held, changed=changed)

    def _tell_recalled(self, key: Key, held: Held) -> None:
        for listener in self._listeners:
            listener.recalled(key, held)

    def _due_at(self, source: Source, confirmed_at: float) -> float:
        return confirmed_at + source.ttl_s * (1 - _JITTER * self._draw())


def _describe(lookup: Lookup, error: Exception) -> Mapping[str, object]:
    """Return what the log tells of a prompt that its store could not confirm."""
    key = lookup.key
    told: dict[str, object] = {"store": key.store, "prompt": key.id}
    if not isinstance(error, ResolverError):
        return {**told, "reason": str(Reason.INTERNAL)}
    return {**told, "reason": str(error.reason), "details": error.metadata}
