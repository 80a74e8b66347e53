"""Prompts are read as their stores have them."""

import asyncio
import errno
from collections.abc import Awaitable

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.catalogue import Catalogue
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.listing import Environment, ListQuery, TemplatePage
from prompt_resolver_server.templates.prompt_stores import PromptStores
from prompt_resolver_server.templates.store import TemplateStore
from tests.support.stores import ToldStore, make_template

TEMPLATE = make_template("p", "1")
ANYBODY = Credentials()


class ListedStore(ToldStore):
    """A store that also says what it has, while it may."""

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        await self.fetch(PromptRef(id="prompts"), None, caller_key=caller_key)
        return TemplatePage(templates=(TEMPLATE,), total=query.page)

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        return (await self.fetch(PromptRef(id=prompt_id), None, caller_key=caller_key),)

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        await self.fetch(PromptRef(id=prompt_id), None, caller_key=caller_key)
        return ()


def make_catalogue(store: TemplateStore) -> Catalogue:
    other = ToldStore(make_template("other", "1"))
    cache = TemplateCache(
        sources={"other": Source(other, 60), "told": Source(store, 60)},
        default_store="told",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )
    return Catalogue(PromptStores(cache, {}))


def lists(
    catalogue: Catalogue, *, deadline: float | None = None, credentials: Credentials = ANYBODY
) -> list[Awaitable[object]]:
    """Return a call for each of the lists."""
    until = asyncio.get_running_loop().time() + 10 if deadline is None else deadline
    return [
        catalogue.list_prompts(ListQuery(page=7), deadline=until, credentials=credentials),
        catalogue.list_versions("p", deadline=until, credentials=credentials),
        catalogue.list_environments("p", deadline=until, credentials=credentials),
    ]


async def failure(call: Awaitable[object]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await call
    return caught.value


async def test_lists() -> None:
    """Lists are those of the default store, asked each time with the caller's key."""
    store = ListedStore(TEMPLATE)
    catalogue = make_catalogue(store)

    for _ in range(2):
        page, versions, environments = [
            await each
            for each in lists(catalogue, credentials=Credentials(store_key="key-of-caller"))
        ]

    assert page == TemplatePage(templates=(TEMPLATE,), total=7)
    assert (versions, environments) == ((TEMPLATE,), ())
    assert [(ref.id, key) for ref, key in store.fetches] == [
        ("prompts", "key-of-caller"),
        ("p", "key-of-caller"),
        ("p", "key-of-caller"),
    ] * 2


async def test_store_without_lists() -> None:
    """A store that has no lists serves prompts all the same, and says that it lists none."""
    catalogue = make_catalogue(ToldStore(TEMPLATE))
    until = asyncio.get_running_loop().time() + 10

    served = await catalogue.fetch(PromptRef(id="p"), deadline=until, credentials=ANYBODY)

    assert served.template is TEMPLATE
    for call in lists(catalogue):
        error = await failure(call)
        assert (error.reason, error.metadata) == ("NOT_IMPLEMENTED", {"store": "told"})


async def test_deadline() -> None:
    """A store that is slow is left alone at the deadline."""
    store = ListedStore(TEMPLATE)
    store.may.clear()

    for call in lists(make_catalogue(store), deadline=0.0):
        error = await failure(call)
        assert (error.reason, error.metadata["phase"]) == ("DEADLINE", "fetch")
    assert store.running == 0


async def test_timeout_that_is_no_deadline() -> None:
    """What times out within a store is what it says, and no deadline that has passed."""

    class LateStore(ListedStore):
        async def fetch(
            self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
        ) -> Template:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")

    for call in lists(make_catalogue(LateStore(TEMPLATE))):
        with pytest.raises(TimeoutError):
            await call
