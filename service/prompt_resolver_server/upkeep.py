"""What operators do with the templates that are held: look through them, drop and fetch them."""

import asyncio
from collections.abc import Sequence

from .domain.errors import CallError, Reason, ResolverError, invalid_request
from .domain.prompts import PromptRef, ServedTemplate
from .domain.values import Value
from .templates.cache.inventory import HeldTemplate, Place, place
from .templates.cache.source import Member
from .templates.chain import at_member
from .templates.prompt_stores import PromptStores

MAX_PROMPTS = 1_000
"""How many prompts may be listed, dropped or fetched with one call."""

_AT_ONCE = 16


class HeldPage(Value, frozen=True, kw_only=True):
    """A page of what is held: each template, and as what it would be served; where it ends."""

    shown = ("end",)

    held: tuple[tuple[HeldTemplate, ServedTemplate], ...]
    end: Place | None


class Upkeep:
    """Looks after the templates that are held, of all stores.

    Every `caller_key` is the key of a store's that the call brought, and every `deadline` is on the
    event loop's clock.
    """

    def __init__(self, stores: PromptStores) -> None:
        self._stores = stores
        self._cache = stores.cache

    def list(
        self, *, store: str | None, after: Place | None, size: int, caller_key: str | None
    ) -> HeldPage:
        """Return a page of what is held, which ends at its `end` if there is more.

        A chain holds nothing itself. Raises STORE_UNKNOWN.
        """
        if store is not None:
            self._cache.find(store)
        inventory = self._cache.inventory
        keys = inventory.page(
            store=store,
            after=after,
            most=size + 1,
            credential=self._cache.credential(caller_key),
        )
        held = [(inventory.tell(key), inventory.look(key)) for key in keys[:size]]
        return HeldPage(
            held=tuple((told, served) for told, served in held if told and served),
            end=place(keys[size - 1]) if len(keys) > size else None,
        )

    def invalidate(self, refs: Sequence[PromptRef]) -> int:
        """Drop what is held of these prompts, in every member of a chain.

        See `TemplateCache.invalidate`.
        """
        _check_number(refs)
        for index, ref in enumerate(refs):
            if not ref.id:
                raise CallError(
                    Reason.PROMPT_ID_INVALID,
                    f"prompts[{index}].id: expected an id, got an empty one",
                    metadata={"store": ref.store or ""},
                )
        return self._cache.invalidate(
            [
                at_member(ref, member.name)
                for ref in refs
                for member in self._stores.members(ref.store)
            ]
        )

    async def prefetch(
        self, refs: Sequence[PromptRef], *, deadline: float, caller_key: str | None
    ) -> Sequence[ServedTemplate | ResolverError | None]:
        """Have these prompts held, and return for each what is, or why there is nothing.

        Of a chain every member fetches its own, and what the first one holds is returned. None is
        a template that is too large to be held. Raises `CallError` for a reference that no store
        can have.
        """
        _check_number(refs)
        members = [self._stores.members(ref.store) for ref in refs]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def fetch(ref: PromptRef, member: Member) -> ServedTemplate | ResolverError | None:
            at, key = at_member(ref, member.name), caller_key if member.takes_key else None
            async with slots:
                try:
                    await self._cache.renew(at, deadline=deadline, caller_key=key)
                except ResolverError as error:
                    return error
            return self._cache.inventory.look(self._cache.key(at, key))

        async with asyncio.TaskGroup() as group:
            fetches = [
                [group.create_task(fetch(ref, member)) for member in of_ref]
                for ref, of_ref in zip(refs, members, strict=True)
            ]
        results = [_first_held([each.result() for each in of_ref]) for of_ref in fetches]
        for result in results:
            if isinstance(result, CallError):
                raise result.again()
        return results


def _first_held(
    results: Sequence[ServedTemplate | ResolverError | None],
) -> ServedTemplate | ResolverError | None:
    """Return what the first member of a chain holds that does, else why the first does not."""
    held = (each for each in results if isinstance(each, ServedTemplate))
    return next(held, results[0])


def _check_number(refs: Sequence[PromptRef]) -> None:
    if not 1 <= len(refs) <= MAX_PROMPTS:
        raise invalid_request("prompts", f"expected from 1 to {MAX_PROMPTS} prompts")
