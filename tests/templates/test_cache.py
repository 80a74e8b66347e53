"""The cache asks the stores, counts, and keeps to the deadline."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.errors import ResolverError
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.prompts import PromptRef, Template
from prompt_resolver_server.templates.cache import TemplateCache


class SlowStore:
    """A store that answers once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked = asyncio.Event()
        self.closed = False

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        self.asked.set()
        await self.may.wait()
        return held or Template(
            id=ref.id, name=ref.id, version="1", content_sha256="0", location=ref.id
        )

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), version="test")


@pytest.fixture
def cache(store: SlowStore, metrics: Metrics) -> TemplateCache:
    return TemplateCache(stores={"slow": store}, default_store="slow", metrics=metrics)


def fetches(metrics: Metrics, outcome: str) -> float | None:
    name = "prompt_resolver_template_fetch_duration_seconds_count"
    return metrics.registry.get_sample_value(name, {"store": "slow", "outcome": outcome})


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_deadline(cache: TemplateCache, metrics: Metrics) -> None:
    """A store that takes longer than the caller has ends the call in time, told as such."""
    with pytest.raises(ResolverError) as caught:
        await cache.get(PromptRef(id="p"), refresh=False, deadline=now() + 0.05)

    assert caught.value.reason == "DEADLINE"
    assert caught.value.metadata == {"phase": "fetch", "attempts": "0"}
    assert fetches(metrics, "deadline") == 1


async def test_caller_that_leaves(cache: TemplateCache, store: SlowStore, metrics: Metrics) -> None:
    """A caller that leaves ends its fetch, and it is counted as such."""
    call = asyncio.ensure_future(cache.get(PromptRef(id="p"), refresh=False, deadline=now() + 10))
    await store.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert fetches(metrics, "cancelled") == 1


async def test_held_copies(cache: TemplateCache, store: SlowStore, metrics: Metrics) -> None:
    """Each reference has a copy of its own, and a confirmed one counts as no fetch."""
    store.may.set()
    results = []
    for ref in (PromptRef(id="p"), PromptRef(id="p"), PromptRef(id="p", version="1")):
        served = await cache.get(ref, refresh=False, deadline=now() + 10)
        results.append((served.cache, served.reason, served.store))

    assert results == [
        ("miss", "deployed", "slow"),
        ("hit", "deployed", "slow"),
        ("miss", "pinned", "slow"),
    ]
    assert fetches(metrics, "ok") == 2


async def test_owns_its_stores(cache: TemplateCache, store: SlowStore) -> None:
    """Closing the cache closes the stores."""
    await cache.aclose()

    assert store.closed
