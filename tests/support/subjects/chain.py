"""A chain for the contract suite, through the cache: a store of prompts, and one without any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from prompt_resolver_server.catalogue import Catalogue
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.listing import Environment, ListQuery, TemplatePage
from prompt_resolver_server.templates.prompt_stores import PromptStores
from tests.support.subjects.directory import directory
from tests.support.subjects.subject import Subject


class ChainStore:
    """Asks a chain as the cache asks a store. Its members are asked each time."""

    def __init__(self, stores: PromptStores) -> None:
        self._catalogue = Catalogue(stores)

    @property
    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + 10

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        served = await self._catalogue.fetch(
            ref, deadline=self._deadline, credentials=Credentials(store_key=caller_key)
        )
        return served.template

    def confirms(self, held: Template) -> bool:
        return False

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        return await self._catalogue.list_prompts(
            query, deadline=self._deadline, credentials=Credentials(store_key=caller_key)
        )

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        return await self._catalogue.list_versions(
            prompt_id, deadline=self._deadline, credentials=Credentials(store_key=caller_key)
        )

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        return await self._catalogue.list_environments(
            prompt_id, deadline=self._deadline, credentials=Credentials(store_key=caller_key)
        )

    async def aclose(self) -> None: ...


@asynccontextmanager
async def chain(folder: Path) -> AsyncIterator[Subject]:
    empty = folder / "empty"
    empty.mkdir()
    async with directory(folder / "prompts") as subject:
        sources = {
            "subject": Source(subject.store, 0, is_remote=False),
            "empty": Source(DirectoryStore(name="empty", root=empty), 0, is_remote=False),
        }
        cache = TemplateCache(
            sources=sources,
            default_store="chain",
            metrics=Metrics(CollectorRegistry(), version="test"),
        )
        subject.store = ChainStore(
            PromptStores(cache, {"chain": ("subject", "empty")}, default_store="chain")
        )
        yield subject
        await cache.aclose()
