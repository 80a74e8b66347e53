"""Prompts as their stores have them: single ones by the cache, and lists, all unrendered."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from .errors import Reason, ServerError
from .prompts import PromptRef, ServedTemplate, Template
from .templates.cache.cache import TemplateCache
from .templates.listing import Environment, ListingStore, ListQuery, TemplatePage

_Result = TypeVar("_Result")


class Catalogue:
    """What there is to read in the stores.

    Every `deadline` is on the event loop's clock, and every `store_key` is the caller's own key of
    the store. Lists are those of the default store. They come from the store itself, and so raise
    what it raises; NOT_IMPLEMENTED where it has none, and DEADLINE.
    """

    def __init__(self, templates: TemplateCache) -> None:
        self._templates = templates

    async def fetch(
        self, ref: PromptRef, *, deadline: float, store_key: str | None
    ) -> ServedTemplate:
        """Return the template that `ref` names, as `TemplateCache.get` does."""
        return await self._templates.get(
            ref, refresh=False, deadline=deadline, caller_key=store_key
        )

    async def list_prompts(
        self, query: ListQuery, *, deadline: float, store_key: str | None
    ) -> TemplatePage:
        """Return a page of the prompts."""
        store = self._find()
        return await _bounded(store.list_prompts(query, caller_key=store_key), deadline)

    async def list_versions(
        self, prompt_id: str, *, deadline: float, store_key: str | None
    ) -> tuple[Template, ...]:
        """Return all versions of a prompt."""
        store = self._find()
        return await _bounded(store.list_versions(prompt_id, caller_key=store_key), deadline)

    async def list_environments(
        self, prompt_id: str, *, deadline: float, store_key: str | None
    ) -> tuple[Environment, ...]:
        """Return the environments that a prompt may be deployed to."""
        store = self._find()
        return await _bounded(store.list_environments(prompt_id, caller_key=store_key), deadline)

    def _find(self) -> ListingStore:
        name, source = self._templates.find(None)
        if not isinstance(source.store, ListingStore):
            raise ServerError(
                Reason.NOT_IMPLEMENTED,
                f"store {name!r} serves prompts, and lists none",
                metadata={"store": name},
            )
        return source.store


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
