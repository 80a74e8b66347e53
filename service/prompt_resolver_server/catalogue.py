"""Prompts as their stores have them: single ones by the cache, and lists, all unrendered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .domain.answers import Credentials
from .domain.errors import Reason, ServerError
from .domain.prompts import PromptRef, ServedTemplate, Template
from .templates.cache.source import Member
from .templates.chain import first_that_serves
from .templates.listing import Environment, ListingStore, ListQuery, TemplatePage
from .templates.permitted import check_permitted, list_permitted
from .templates.prompt_stores import PromptStores

_Result = TypeVar("_Result")


class Catalogue:
    """What there is to read in the stores, for those who may.

    Every `deadline` is on the event loop's clock, and `credentials` are the caller's: whatever it
    may not use is CALLER_FORBIDDEN before anything is fetched. Lists are those of the default
    store, or of the first of a chain that answers. They come from the store itself, and so raise
    what it raises; NOT_IMPLEMENTED where it has none, and DEADLINE.
    """

    def __init__(self, stores: PromptStores) -> None:
        self._stores = stores

    @property
    def default_store(self) -> str:
        """The name of the store of prompts that name none."""
        return self._stores.default_store

    async def fetch(
        self, ref: PromptRef, *, deadline: float, credentials: Credentials
    ) -> ServedTemplate:
        """Return the template that `ref` names, as `PromptStores.get` does."""
        check_permitted(ref, self._stores, credentials.permissions)
        return await self._stores.get(
            ref, refresh=False, deadline=deadline, caller_key=credentials.store_key
        )

    async def list_prompts(
        self, query: ListQuery, *, deadline: float, credentials: Credentials
    ) -> TemplatePage:
        """Return a page of the prompts that the caller may name, by id or by path."""
        permissions = credentials.permissions

        async def read(store: ListingStore, key: str | None) -> TemplatePage:
            if "prompt" in permissions.rules:
                return await list_permitted(store, query, permissions, caller_key=key)
            return await store.list_prompts(query, caller_key=key)

        return await self._list("", read, deadline, credentials)

    async def list_versions(
        self, prompt_id: str, *, deadline: float, credentials: Credentials
    ) -> tuple[Template, ...]:
        """Return all versions of a prompt."""
        return await self._list(
            prompt_id,
            lambda store, key: store.list_versions(prompt_id, caller_key=key),
            deadline,
            credentials,
        )

    async def list_environments(
        self, prompt_id: str, *, deadline: float, credentials: Credentials
    ) -> tuple[Environment, ...]:
        """Return the environments that a prompt may be deployed to."""
        return await self._list(
            prompt_id,
            lambda store, key: store.list_environments(prompt_id, caller_key=key),
            deadline,
            credentials,
        )

    async def _list(
        self,
        prompt_id: str,
        read: Callable[[ListingStore, str | None], Awaitable[_Result]],
        deadline: float,
        credentials: Credentials,
    ) -> _Result:
        """Return what a store tells of a prompt, or of all of them where the id is empty."""
        check_permitted(PromptRef(id=prompt_id), self._stores, credentials.permissions)

        async def ask(member: Member, until: float) -> _Result:
            store = _as_listing(member)
            return await _bounded(
                read(store, credentials.store_key if member.takes_key else None), until
            )

        return await first_that_serves(self._stores.members(None), ask, deadline=deadline)


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
        async with asyncio.timeout_at(deadline) as limit:
            return await listed
    except TimeoutError:
        if not limit.expired():
            raise
        raise ServerError(
            Reason.DEADLINE,
            "the deadline passed while the store was asked for a list",
            metadata={"phase": "fetch", "attempts": "0"},
        ) from None
