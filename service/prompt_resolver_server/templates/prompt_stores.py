"""Prompts by the names of their stores: from the cache, or from a chain that stands above it."""

import logging
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any

from ..domain.errors import Reason, ResolverError
from ..domain.prompts import PromptRef, ServedTemplate
from .cache.cache import TemplateCache
from .cache.inventory import Inventory
from .cache.source import Member, Source, store_unknown
from .chain import ABSENCES, at_member, first_that_serves

_log = logging.getLogger(__name__)


class PromptStores:
    """The stores of one configuration by their names, cached, chains among them.

    `chains` has the names of each chain's members, which are some of `sources`. Unset, these and
    the default store are those that the cache has now. What any member but the first serves is
    marked as a fallback. A caller's own key is for the first member that is remote, and goes to no
    other.
    """

    def __init__(
        self,
        cache: TemplateCache,
        chains: Mapping[str, Sequence[str]],
        *,
        default_store: str | None = None,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.cache = cache
        # What the cache has may be replaced, with all of this.
        self.default_store = cache.default_store if default_store is None else default_store
        self._sources = {**(cache.sources if sources is None else sources)}
        self._chains = {name: _members(self._sources, names) for name, names in chains.items()}
        # Of these it has been told.
        self._passed_over: set[str] = set()

    @property
    def inventory(self) -> Inventory:
        """What the cache holds."""
        return self.cache.inventory

    @property
    def names(self) -> Collection[str]:
        """The names of all stores, chains of them included."""
        return (*self._sources, *self._chains)

    @property
    def layout(self) -> tuple[object, ...]:
        """Which stores serve by which name: equal where all names mean the same."""
        chains = {
            name: [(member.name, member.takes_key) for member in members]
            for name, members in self._chains.items()
        }
        return self.default_store, chains, self._sources.keys()

    def get(
        self,
        ref: PromptRef,
        *,
        refresh: bool,
        deadline: float,
        caller_key: str | None = None,
    ) -> Coroutine[Any, Any, ServedTemplate]:
        """Return the template that `ref` names; see `TemplateCache.get`.

        Of a chain: that of the first member which has one to serve.
        """
        name = ref.store if ref.store is not None else self.default_store
        if name not in self._chains:
            if name not in self._sources:
                raise store_unknown(name, self.names)
            if ref.store is None and self.cache.default_store != name:
                # It has been replaced, and this has not.
                ref = at_member(ref, name)
            return self.cache.get(ref, refresh=refresh, deadline=deadline, caller_key=caller_key)
        members = self._chains[name]

        def key_for(member: Member) -> str | None:
            return caller_key if member.takes_key else None

        def patience_s(member: Member) -> float:
            return self.cache.patience_s(at_member(ref, member.name), key_for(member))

        async def ask(member: Member, until: float) -> ServedTemplate:
            try:
                served = await self.cache.get(
                    at_member(ref, member.name),
                    refresh=refresh,
                    deadline=until,
                    caller_key=key_for(member),
                    as_fallback=member is not members[0],
                )
            except ResolverError as error:
                if member is not members[-1]:
                    self._tell_passed_over(member, error.reason)
                raise
            self._passed_over.discard(member.name)
            return served

        if refresh:
            # Whoever asks for that would rather wait.
            return first_that_serves(members, ask, deadline=deadline)
        return first_that_serves(members, ask, deadline=deadline, patience_s=patience_s)

    def members(self, store: str | None) -> Sequence[Member]:
        """Return the stores behind a name, or the default one. Raises STORE_UNKNOWN."""
        name = store if store is not None else self.default_store
        members = self._chains.get(name)
        if members is not None:
            return members
        if name not in self._sources:
            raise store_unknown(name, self.names)
        return (Member(name, self._sources[name].store),)

    def _tell_passed_over(self, member: Member, reason: Reason) -> None:
        """Log, once until it serves again, why a member that should have served cannot.

        That it does not have a prompt is what the next member is there for.
        """
        if reason in ABSENCES or member.name in self._passed_over:
            return
        self._passed_over.add(member.name)
        _log.warning(
            "a store of a chain is passed over",
            extra={"store": member.name, "reason": str(reason)},
        )


def _members(sources: Mapping[str, Source], names: Sequence[str]) -> Sequence[Member]:
    keyed = next((name for name in names if sources[name].is_remote), None)
    return [Member(name, sources[name].store, name == keyed) for name in names]
