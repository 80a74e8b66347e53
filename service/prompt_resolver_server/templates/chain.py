"""Several stores in order: where one has nothing to serve, the next one is asked.

A chain stands above the cache, so that each of its members keeps what it served, and serves it
through an outage of its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, TypeVar

from ..domain.errors import Blame, Reason, ResolverError, TemplateError
from ..domain.prompts import PromptRef, ServedTemplate
from ..settings.model import AnyStoreSettings
from .cache.cache import TemplateCache
from .cache.inventory import Inventory
from .cache.source import Member, Source, store_unknown

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

# What a member says that has nothing to serve. What it does not have weighs less than what it might
# have, and what is malformed by its grammar may be well-formed by another one's.
_ABSENCES = (
    Reason.VERSION_NOT_FOUND,
    Reason.PROMPT_NOT_FOUND,
    Reason.SELECTOR_INVALID,
    Reason.PROMPT_ID_INVALID,
)
_FAILURES = frozenset({Reason.STORE_UNAVAILABLE, Reason.DEADLINE, Reason.NOT_IMPLEMENTED})


class ChainSettings(AnyStoreSettings):
    """A store that is several others, asked in order."""

    type: Literal["chain"]
    stores: tuple[str, ...]
    """The names of these stores, the one first whose prompts are wanted."""


class Chains:
    """A `TemplateSupply` over a cache, with chains beside its stores.

    `chains` has the names of each chain's members, which are some of `sources`: unset, those that
    the cache has now. What any member but the first serves is marked as a fallback. A caller's own
    key is for the first member that is remote, and goes to no other.
    """

    def __init__(
        self,
        cache: TemplateCache,
        chains: Mapping[str, Sequence[str]],
        *,
        default_store: str,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.cache = self._cache = cache
        self.default_store = default_store
        # Those of the cache may be replaced, with all of this.
        self._sources = {**(cache.sources if sources is None else sources)}
        self._chains = {name: _members(self._sources, names) for name, names in chains.items()}
        # Of these it has been told.
        self._passed_over: set[str] = set()

    @property
    def inventory(self) -> Inventory:
        """What the cache holds."""
        return self._cache.inventory

    @property
    def stores(self) -> Collection[str]:
        """The names of all stores, chains of them included."""
        return (*self._sources, *self._chains)

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
                raise store_unknown(name, self.stores)
            if ref.store is None and self._cache.default_store != name:
                # It has been replaced, and this has not.
                ref = at_member(ref, name)
            return self._cache.get(ref, refresh=refresh, deadline=deadline, caller_key=caller_key)
        members = self._chains[name]

        async def ask(member: Member, until: float) -> ServedTemplate:
            try:
                served = await self._cache.get(
                    at_member(ref, member.name),
                    refresh=refresh,
                    deadline=until,
                    caller_key=caller_key if member.takes_key else None,
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
        return first_that_serves(members, ask, deadline=deadline, is_down=self._is_down)

    def members(self, store: str | None) -> Sequence[Member]:
        """Return the stores behind a name, or the default one. Raises STORE_UNKNOWN."""
        name = store if store is not None else self.default_store
        members = self._chains.get(name)
        if members is not None:
            return members
        if name not in self._sources:
            raise store_unknown(name, self.stores)
        return (Member(name, self._sources[name].store),)

    def _tell_passed_over(self, member: Member, reason: Reason) -> None:
        """Log, once until it serves again, why a member that should have served cannot.

        That it does not have a prompt is what the next member is there for.
        """
        if reason in _ABSENCES or member.name in self._passed_over:
            return
        self._passed_over.add(member.name)
        _log.warning(
            "a store of a chain is passed over",
            extra={"store": member.name, "reason": str(reason)},
        )

    def _is_down(self, member: Member) -> bool:
        return self._cache.is_down(member.name)


async def first_that_serves(
    members: Sequence[Member],
    ask: Callable[[Member, float], Awaitable[_Result]],
    *,
    deadline: float,
    is_down: Callable[[Member], bool] = lambda _: False,
) -> _Result:
    """Return what the first member answers that has an answer.

    `ask` is given a member, and the time of the event loop's clock until which it may take. Before
    the last member that is half of the time that is left, and no time at all where the member's
    store is known to be down: what it began goes on by itself, and is waited for if no other member
    can serve. Raises what weighs most of what they raise.
    """
    now = asyncio.get_running_loop().time
    errors: dict[str, ResolverError] = {}
    asked = members
    for patient in (False, True):
        for member in asked:
            until = deadline
            if member is not asked[-1]:
                hurried = is_down(member) and not patient
                until = now() if hurried else (now() + deadline) / 2
            try:
                return await ask(member, min(until, deadline))
            except ResolverError as error:
                if len(members) == 1 or not _has_nothing(error):
                    raise
                errors[member.name] = error
        asked = [each for each in asked if errors[each.name].reason is Reason.DEADLINE]
    raise min(errors.values(), key=_weight)


def _members(sources: Mapping[str, Source], names: Sequence[str]) -> Sequence[Member]:
    keyed = next((name for name in names if sources[name].is_remote), None)
    return [Member(name, sources[name].store, name == keyed) for name in names]


def at_member(ref: PromptRef, store: str) -> PromptRef:
    """Return a reference to the prompt of one store."""
    return PromptRef(id=ref.id, store=store, version=ref.version, environment=ref.environment)


def _has_nothing(error: ResolverError) -> bool:
    """Tell whether a member that says so has nothing to serve, so that the next one may.

    A template that is broken cannot be served either. A caller whose key is refused is told.
    """
    if error.reason is Reason.STORE_AUTH:
        return error.blame is Blame.OPERATOR
    return (
        error.reason in _FAILURES or error.reason in _ABSENCES or isinstance(error, TemplateError)
    )


def _weight(error: ResolverError) -> int:
    return _ABSENCES.index(error.reason) + 1 if error.reason in _ABSENCES else 0
