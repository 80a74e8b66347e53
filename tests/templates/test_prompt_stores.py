"""Prompts come from the stores of one configuration, by their names."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.prompt_stores import PromptStores
from tests.support.stores import ToldStore, make_template

LIVE, BAKED = make_template("p", "live"), make_template("p", "baked")


def make_cache() -> TemplateCache:
    return TemplateCache(
        sources={
            "live": Source(ToldStore(LIVE), 60),
            "baked": Source(ToldStore(BAKED), 60, is_remote=False),
        },
        default_store="live",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )


async def get(stores: PromptStores, *, store: str | None = None) -> ServedTemplate:
    deadline = asyncio.get_running_loop().time() + 10
    return await stores.get(PromptRef(id="p", store=store), refresh=False, deadline=deadline)


async def test_unknown_store() -> None:
    """A store that is not there is told with those that are, chains included."""
    stores = PromptStores(make_cache(), {"both": ("live", "baked")})

    with pytest.raises(CallError, match="expected one of live, baked, both"):
        await get(stores, store="nowhere")


async def test_default_store_that_is_replaced() -> None:
    """Who has the stores of before has their default as well, whatever the cache's is by now."""
    cache = make_cache()
    before = PromptStores(cache, {})
    cache.adopt({**cache.sources}, default_store="baked", limits=CacheLimits())

    served = await get(before)

    assert (before.default_store, served.store, served.template) == ("live", "live", LIVE)
