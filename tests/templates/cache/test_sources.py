"""Stores that are replaced while the cache serves them: what is kept of each, and what goes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import CallError, Reason, ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.cache.sources import Replacement
from tests.support.stores import (
    Clock,
    ToldStore,
    absent,
    forbidden,
    make_template,
    no_jitter,
    unavailable,
)

TTL_S = 60.0
ONE, TWO = make_template("p", "1"), make_template("p", "2")
P, Q = PromptRef(id="p", store="told"), PromptRef(id="q", store="told")


class Subject:
    """A cache over the store `told`, at one place, and the store `other`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store, self.other = ToldStore(ONE), Source(ToldStore(ONE), TTL_S)
        self.source = Source(self.store, TTL_S, place="here")
        self.cache = TemplateCache(
            sources={"told": self.source, "other": self.other},
            default_store="told",
            metrics=Metrics(CollectorRegistry(), version="test"),
            clock=self.clock,
            draw=no_jitter,
        )
        self.deadline = asyncio.get_running_loop().time() + 10

    async def get(self, ref: PromptRef = P) -> ServedTemplate:
        return await self.cache.get(ref, refresh=False, deadline=self.deadline)

    async def reason(self, ref: PromptRef = P) -> Reason:
        with pytest.raises(ResolverError) as caught:
            await self.get(ref)
        return caught.value.reason

    def adopt(self, told: Source | None, limits: CacheLimits | None = None) -> Replacement:
        """Have another source be the store `told`, or none."""
        sources = {"told": told} if told is not None else {}
        return self.cache.adopt(
            {**sources, "other": self.other},
            default_store="other",
            limits=limits or CacheLimits(),
        )


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    subject = Subject()
    yield subject
    await subject.cache.aclose()


async def test_same_source(subject: Subject) -> None:
    """A source that is the same keeps everything: fresh copies, absences, and that it is down."""
    await subject.get()
    subject.store.says = absent("q")
    assert await subject.reason(Q) is Reason.PROMPT_NOT_FOUND
    subject.store.says = unavailable()
    await subject.cache.get(P, refresh=True, deadline=subject.deadline)
    asked = len(subject.store.fetches)

    replacement = subject.adopt(subject.source)

    assert replacement.outgoing == {}
    assert (await subject.get()).cache == "hit"
    assert await subject.reason(Q) is Reason.PROMPT_NOT_FOUND
    assert subject.cache.is_down("told")
    assert len(subject.store.fetches) == asked


async def test_same_place(subject: Subject) -> None:
    """A source at the same place keeps the copies, which the new store is asked for when needed."""
    await subject.get()
    subject.store.says = unavailable()
    subject.clock.now += TTL_S
    assert (await subject.cache.get(P, refresh=True, deadline=subject.deadline)).stale
    new = ToldStore(TWO)

    replacement = subject.adopt(Source(new, TTL_S, place="here"))

    assert replacement.lost == frozenset()
    assert not new.fetches
    served = await subject.get()
    # The last that was heard of it is that it failed.
    assert (served.template, served.cache, served.stale) == (ONE, "stale", True)
    await subject.cache.renew(P, deadline=subject.deadline)
    assert (await subject.get()).template is TWO


async def test_fresh_copy_at_the_same_place(subject: Subject) -> None:
    """A copy that is still fresh is served as such, and looked at again nevertheless."""
    await subject.get()
    new = ToldStore(unavailable())
    subject.adopt(Source(new, TTL_S, place="here"))

    assert (await subject.get()).cache == "hit"
    await asyncio.wait_for(new.asked.wait(), 10)
    assert (await subject.get()).cache == "hit"


async def test_absence_at_the_same_place(subject: Subject) -> None:
    """What was not there may be there with another key."""
    subject.store.says = absent()
    assert await subject.reason() is Reason.PROMPT_NOT_FOUND
    subject.adopt(Source(ToldStore(ONE), TTL_S, place="here"))

    assert (await subject.get()).template is ONE


@pytest.mark.parametrize("place", ["there", None])
async def test_elsewhere(subject: Subject, place: str | None) -> None:
    """A source elsewhere, or none, has nothing of the one before, not even if it fails."""
    await subject.get()
    held: list[str] = []
    if place is None:
        replacement = subject.adopt(None)
        assert await subject.reason(PromptRef(id="p", store="nowhere")) is Reason.STORE_UNKNOWN
    else:
        replacement = subject.adopt(Source(ToldStore(unavailable()), TTL_S, place=place))
        assert await subject.reason() is Reason.STORE_UNAVAILABLE
    held = [key.store for key in subject.cache.inventory.keys()]  # noqa: SIM118

    assert replacement.lost == {"told"}
    assert held == []


@pytest.mark.parametrize("place", ["here", "there"])
async def test_fetch_that_runs(subject: Subject, place: str) -> None:
    """What is being fetched goes to those who wait for it, and is held for nobody else."""
    subject.store.may.clear()
    waiting = asyncio.ensure_future(subject.get())
    await subject.store.asked.wait()
    replacement = subject.adopt(Source(ToldStore(TWO), TTL_S, place=place))
    releasing = asyncio.ensure_future(subject.cache.release(replacement))
    assert not subject.store.closed

    subject.store.may.set()
    assert (await waiting).template is ONE
    await releasing
    assert subject.store.closed
    assert (await subject.get()).template is TWO


@pytest.mark.parametrize("place", ["here", "there"])
async def test_refresh_that_runs(subject: Subject, place: str) -> None:
    """Who has the store asked gets what it says, though the source is replaced meanwhile."""
    await subject.get()
    subject.clock.now += 1
    subject.store.says = TWO
    subject.store.asked.clear()
    subject.store.may.clear()
    call = subject.cache.get(P, refresh=True, deadline=subject.deadline)
    refreshing = asyncio.ensure_future(call)
    await subject.store.asked.wait()
    subject.adopt(Source(ToldStore(TWO), TTL_S, place=place))

    subject.store.may.set()
    served = await refreshing

    assert (served.template, served.cache, served.stale) == (TWO, "bypass", False)


async def test_refusal_of_the_key_before(subject: Subject) -> None:
    """That the key before is refused by now takes nothing from what the new one keeps."""
    await subject.get()
    subject.store.may.clear()
    subject.store.says = forbidden()
    subject.clock.now += TTL_S
    await subject.get()
    await subject.store.asked.wait()
    new = ToldStore(unavailable())
    replacement = subject.adopt(Source(new, TTL_S, place="here"))
    subject.store.may.set()
    await subject.cache.release(replacement)

    assert (await subject.get()).template is ONE


async def test_gone_until_released(subject: Subject) -> None:
    """A store that is gone serves calls that had begun, holds nothing, and is then unknown."""
    replacement = subject.adopt(None)
    assert (await subject.get()).template is ONE
    assert (await subject.get()).cache == "miss"
    subject.store.says = unavailable()
    assert await subject.reason() is Reason.STORE_UNAVAILABLE
    with pytest.raises(CallError):
        await subject.cache.renew(P, deadline=subject.deadline)
    assert subject.cache.inventory.entries == 0

    await subject.cache.release(replacement)
    assert await subject.reason() is Reason.STORE_UNKNOWN
    assert subject.store.closed


async def test_back_before_it_is_released(subject: Subject) -> None:
    """A store that comes back, as another, is not released with the one that was gone."""
    replacement = subject.adopt(None)
    new = ToldStore(TWO)
    subject.adopt(Source(new, TTL_S, place="here"))
    await subject.cache.release(replacement)

    assert subject.store.closed
    assert not new.closed
    assert (await subject.get()).template is TWO


async def test_closed_before_it_is_released(subject: Subject) -> None:
    """At the end whatever was not released is closed, each once."""
    subject.adopt(None)
    await subject.cache.aclose()

    assert subject.store.closed


async def test_default_store(subject: Subject) -> None:
    """Prompts that name no store are in the new default one."""
    subject.adopt(subject.source)

    assert (await subject.get(PromptRef(id="p"))).store == "other"
    assert subject.cache.inventory.default_store == "other"


async def test_limits(subject: Subject) -> None:
    """With room for less, what was not used for the longest time goes at once."""
    await subject.get()
    subject.store.says = make_template("q", "1")
    await subject.get(Q)
    subject.adopt(subject.source, CacheLimits(max_entries=1))

    assert [key.id for key in subject.cache.inventory.keys()] == ["q"]  # noqa: SIM118


async def test_how_long_absence_is_believed(subject: Subject) -> None:
    """Another time for absences holds from the next one on."""
    subject.adopt(subject.source, CacheLimits(negative_ttl_s=1))
    subject.store.says = absent()
    assert await subject.reason() is Reason.PROMPT_NOT_FOUND
    subject.store.says = ONE
    subject.clock.now += 1.5

    assert (await subject.get()).template is ONE
