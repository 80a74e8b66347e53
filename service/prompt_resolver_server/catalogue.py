"""Prompts as their stores have them: single ones by the cache, and lists, all unrendered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import Reason, ServerError
from .prompts import PromptRef, ServedTemplate, Template
from .templates.cache.source import Member
from .templates.chain import first_that_serves
from .templates.listing import Environment, ListingStore, ListQuery, TemplatePage
from .templates.supply import TemplateSupply

_Result = TypeVar("_Result")


class Catalogue:
    """What there is to read in the stores.

    Every `deadline` is on the event loop's clock, and every `store_key` is the caller's own key of
    the store. Lists are those of the default store, or of the first of a chain that answers. They
    come from the store itself, and so raise what it raises; NOT_IMPLEMENTED where it has none, and
    DEADLINE.
    """

    def __init__(self, templates: TemplateSupply) -> None:
        self._templates = templates

    async def fetch(
        self, ref: PromptRef, *, deadline: float, store_key: str | None
    ) -> ServedTemplate:
        """Return the template that `ref` names, as `TemplateSupply.get` does."""
        return await self._templates.get(
            ref, refresh=False, deadline=deadline, caller_key=store_key
        )

    async def list_prompts(
        self, query: ListQuery, *, deadline: float, store_key: str | None
    ) -> TemplatePage:
        """Return a page of the prompts."""
        return await self._list(
            lambda store, key: store.list_prompts(query, caller_key=key), deadline, store_key
        )

    async def list_versions(
        self, prompt_id: str, *, deadline: float, store_key: str | None
    ) -> tuple[Template, ...]:
        """Return all versions of a prompt."""
        return await self._list(
            lambda store, key: store.list_versions(prompt_id, caller_key=key), deadline, store_key
        )

    async def list_environments(
        self, prompt_id: str, *, deadline: float, store_key: str | None
    ) -> tuple[Environment, ...]:
        """Return the environments that a prompt may be deployed to."""
        return await self._list(
            lambda store, key: store.list_environments(prompt_id, caller_key=key),
            deadline,
            store_key,
        )

    async def _list(
        self,
        read: Callable[[ListingStore, str | None], Awaitable[_Result]],
        deadline: float,
        store_key: str | None,
    ) -> _Result:
        async def ask(member: Member, until: float) -> _Result:
            store = _as_listing(member)
            return await _bounded(read(store, store_key if member.takes_key else None), until)

        return await first_that_serves(self._templates.members(None), ask, deadline=deadline)


def _as_listing(member: Member) -> ListingStore:
    if not isinstance(member.store, ListingStore):
        raise ServerError(
            Reason.NOT_IMPLEMENTED,
            f"store {member.name!r} serves prompts, and lists none",
            metadata={"store": member.name},
        )
    return member.store


async def _bounded(listed: Awaitable[_Result], deadline: float) -> _Result:
    try:
        async with asyncio.timeout_at(deadline):
            return await listed
    except TimeoutError:
        raise ServerError(
            Reason.DEADLINE,
            "the deadline passed while the store was asked for a list",
            metadata={"phase": "fetch", "attempts": "0"},
        ) from None
