"""However fast things change, and however slowly they are read, a watch holds little."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.permissions import UNLIMITED
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.entries import Held, Key
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.peers import Copy
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.prompt_stores import PromptStores
from prompt_resolver_server.watching.events import Event
from prompt_resolver_server.watching.journal import Journal
from prompt_resolver_server.watching.watches import Watch, Watches
from tests.support.caches import KeptCopies
from tests.support.stores import Clock, ToldStore, absent, make_template, unavailable

CHANGES = 10_000


class Subject:
    """Watches of a cache over one store, whose changes a test makes up."""

    def __init__(
        self,
        capacity: int = 100,
        ttl_s: float = 60,
        store: ToldStore | None = None,
        **more: Any,
    ) -> None:
        self.store = store or ToldStore(make_template("p", "1"))
        self.cache = TemplateCache(
            sources={"told": Source(self.store, ttl_s)},
            default_store="told",
            metrics=Metrics(CollectorRegistry(), version="test"),
            **more,
        )
        self.watches = Watches(PromptStores(self.cache, {}), capacity=capacity)

    @property
    def journal(self) -> Journal:
        return self.watches._journal

    @asynccontextmanager
    async def watch(self, *ids: str, after: int | None = None) -> AsyncIterator[Watch]:
        refs = [PromptRef(id=each) for each in ids]
        async with self.watches.open(
            refs, after=after, caller_key=None, permit=lambda: UNLIMITED
        ) as watch:
            yield watch

    def key(self, prompt_id: str) -> Key:
        return self.cache.key(PromptRef(id=prompt_id))

    def confirm(self, template: Template) -> None:
        self.journal.confirmed(self.key(template.id), Held(template, 0.0), changed=True)


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    subject = Subject()
    yield subject
    await subject.watches.aclose()
    await subject.cache.aclose()


async def read(watch: Watch, count: int) -> list[Event]:
    return [await watch.next() for _ in range(count)]


def is_idle(watch: Watch) -> bool:
    return not watch._pending


async def test_a_stalled_reader(subject: Subject) -> None:
    """After ten thousand changes, nobody is owed more than one event for each prompt."""
    async with subject.watch("p", "q") as watch, subject.watch() as other:
        await read(watch, 2)
        for number in range(CHANGES):
            subject.confirm(make_template("pq"[number % 2], str(number)))
        owed = len(watch._pending), len(other._pending), len(subject.journal._records)
        events = await read(watch, 2)

    assert owed == (2, 2, 2)
    assert [event.revision for event in events] == sorted(event.revision for event in events)
    assert [(event.change, event.ref.id) for event in events] == [
        ("updated", "p"),
        ("updated", "q"),
    ]
    assert events[-1].revision == subject.journal.revision


async def test_the_journal_is_bounded() -> None:
    """Changes of ever new prompts are forgotten, and whoever would need them begins anew."""
    subject = Subject(capacity=10)
    async with subject.watch("p") as watch:
        (first,) = await read(watch, 1)
        for number in range(CHANGES):
            subject.confirm(make_template(f"p{number}", "1"))
        kept = len(subject.journal._records)
        recent = subject.journal.revision - 5
    async with (
        subject.watch("p", after=first.revision) as late,
        subject.watch("p", after=recent) as early,
    ):
        begun = late.snapshot_revision, early.snapshot_revision
        idle = is_idle(early)
    await subject.watches.aclose()

    assert kept <= 20
    assert begun == (first.revision, None)
    assert idle


async def test_a_change_and_its_reverse(subject: Subject) -> None:
    """What went away and came back in between is told as it is, once."""
    one = make_template("p", "1")
    async with subject.watch("p") as watch:
        await read(watch, 1)
        subject.confirm(make_template("p", "2"))
        subject.journal.removed(subject.key("p"))
        subject.confirm(one)
        (event,) = await read(watch, 1)
        idle = is_idle(watch)

    assert (event.change, event.served.template.version) == ("updated", "1")
    assert idle


async def test_a_new_version_is_not_lost_behind_an_outage(subject: Subject) -> None:
    """A new version that was not yet told stays an update, though its store has failed since."""
    async with subject.watch("p", "q") as watch:
        await read(watch, 2)
        subject.confirm(make_template("p", "2"))
        subject.confirm(make_template("q", "2"))
        subject.journal.unavailable(subject.key("p"))
        first, second = await read(watch, 2)
    async with subject.watch("p", "q", after=first.revision) as again:
        (resumed,) = await read(again, 1)

    assert (first.ref.id, first.change) == ("q", "updated")
    assert (second.ref.id, second.change) == ("p", "updated")
    assert (resumed.ref.id, resumed.change) == ("p", "updated")


async def test_what_is_confirmed_again_is_no_event(subject: Subject) -> None:
    """The same version, fetched anew, is nothing to tell of, even after it was not held."""
    async with subject.watch("p") as watch:
        await read(watch, 1)
        subject.confirm(make_template("p", "1"))
        idle = is_idle(watch)

    assert idle


async def test_invalidation_is_no_removal(subject: Subject) -> None:
    """A watched prompt that is dropped is fetched at once, and told of only if it has changed."""
    async with subject.watch("p") as watch:
        await read(watch, 1)
        subject.store.asked.clear()
        subject.cache.invalidate([PromptRef(id="p")])
        await subject.store.asked.wait()
        subject.store.says = make_template("p", "2")
        subject.store.asked.clear()
        subject.cache.invalidate([PromptRef(id="p")])
        (event,) = await read(watch, 1)

    assert (event.change, event.served.template.version) == ("updated", "2")


async def test_leaving_releases_everything(subject: Subject) -> None:
    """Once nobody watches, nothing is followed, nothing is looked after, and no task runs."""
    for _ in range(3):
        async with subject.watch("p"), subject.watch("p", "q"), subject.watch():
            pass
    keeper = subject.watches._keeper
    await asyncio.gather(*keeper._looks)

    assert subject.journal._followers == {}
    assert len(keeper) == 0
    assert keeper._task is None
    assert keeper._due == []


async def test_leaving_after_the_end(subject: Subject) -> None:
    """A watch that outlives what looks after it may still be left."""
    async with subject.watch("p"), subject.watch():
        await subject.watches.aclose()

    assert len(subject.watches._keeper) == 0


async def test_leaving_during_the_first_look(subject: Subject) -> None:
    """A caller that leaves before its snapshot is there leaves nothing behind."""
    subject.store.may.clear()

    async def watch() -> None:
        async with subject.watch("p"):
            pass

    opening = asyncio.ensure_future(watch())
    await subject.store.asked.wait()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    subject.store.may.set()
    await asyncio.gather(*subject.watches._keeper._looks)

    assert subject.journal._followers == {}
    assert len(subject.watches._keeper) == 0
    assert subject.watches._keeper._task is None


async def test_fetches_are_bounded(subject: Subject) -> None:
    """However many prompts a watch names, few of them are asked for at once."""
    subject.store.may.clear()

    async def watch() -> int:
        async with subject.watch(*[f"p{number}" for number in range(100)]) as watch:
            return len(await read(watch, 100))

    watching = asyncio.ensure_future(watch())
    while subject.store.running < 16:
        await subject.store.asked.wait()
        subject.store.asked.clear()
    subject.store.may.set()

    assert await watching == 100
    assert len(subject.store.fetches) == 100
    assert subject.store.most_at_once == 16


async def test_a_chain_whose_first_store_needed_room() -> None:
    """What a chain served in the meantime is over once its first store's is held again."""
    live, baked = ToldStore(make_template("p", "live")), ToldStore(make_template("p", "baked"))
    cache = TemplateCache(
        sources={"live": Source(live, 60), "baked": Source(baked, 0, is_remote=False)},
        default_store="both",
        metrics=Metrics(CollectorRegistry(), version="test"),
        limits=CacheLimits(max_entries=2),
    )
    stores = PromptStores(cache, {"both": ("live", "baked")}, default_store="both")
    watches = Watches(stores, capacity=100)

    async def get(prompt_id: str, store: str, *, refresh: bool = False) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        ref = PromptRef(id=prompt_id, store=store)
        await stores.get(ref, refresh=refresh, deadline=deadline)

    async with (
        asyncio.timeout(10),
        watches.open(
            [PromptRef(id="p")], after=None, caller_key=None, permit=lambda: UNLIMITED
        ) as watch,
    ):
        began = await watch.next()
        await get("p", "baked")
        await get("q", "live")
        baked.says = make_template("p", "baked anew")
        await get("p", "baked", refresh=True)
        meanwhile = await watch.next()
        await get("p", "live")
        ended = await watch.next()
    await watches.aclose()
    await cache.aclose()

    versions = [each.served.template.version for each in (began, meanwhile, ended)]
    assert versions == ["live", "baked anew", "live"]


async def test_prompt_that_is_not_there() -> None:
    """Where a store is asked each time, it is not asked again at once for what it does not have."""
    subject = Subject(ttl_s=0)
    subject.store.says = absent()
    async with subject.watch("gone"):
        for _ in range(1_000):
            await asyncio.sleep(0)
    await subject.watches.aclose()
    await subject.cache.aclose()

    assert len(subject.store.fetches) == 1


async def test_prompt_that_is_taken_away() -> None:
    """What is dropped while it is watched is asked for once at once, and then as others."""
    subject = Subject(ttl_s=0)
    async with subject.watch("p"):
        asked = len(subject.store.fetches)
        subject.store.says = absent()
        subject.cache.invalidate([PromptRef(id="p")])
        for _ in range(1_000):
            await asyncio.sleep(0)
    await subject.watches.aclose()
    await subject.cache.aclose()

    assert len(subject.store.fetches) == asked + 1


class OneSlowFailure(ToldStore):
    """A store that fails slowly once it is armed, and then says what it says."""

    def __init__(self, says: Template, failure: Exception) -> None:
        super().__init__(says)
        self.armed, self.slow = False, asyncio.Event()
        self.failure = failure

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        if not self.armed:
            return await super().fetch(ref, held, caller_key=caller_key)
        self.armed = False
        self.slow.set()
        await self.may_fail.wait()
        raise self.failure

    @cached_property
    def may_fail(self) -> asyncio.Event:
        return asyncio.Event()


@pytest.mark.parametrize("failure", [unavailable(), absent()], ids=["down", "gone"])
@pytest.mark.parametrize("ids", [("p",), ()], ids=["named", "all"])
async def test_edit_during_a_look_that_fails(ids: tuple[str, ...], failure: Exception) -> None:
    """What is taken back while it is looked at is looked at anew, whatever the old look finds."""
    store = OneSlowFailure(make_template("p", "1"), failure)
    subject = Subject(ttl_s=0.3, store=store)
    deadline = asyncio.get_running_loop().time() + 10
    async with asyncio.timeout(10), subject.watch(*ids) as watch:
        await subject.cache.get(PromptRef(id="p"), refresh=False, deadline=deadline)
        assert (await watch.next()).served.template.version == "1"
        store.armed = True
        await store.slow.wait()
        store.says = make_template("p", "2")
        subject.cache.invalidate([PromptRef(id="p")])
        event = await watch.next()
        store.may_fail.set()

    assert (event.change, event.served.template.version) == ("updated", "2")
    await subject.watches.aclose()
    await subject.cache.aclose()


async def test_watch_that_follows_another() -> None:
    """A prompt is looked after for who watches it now, whatever a look for others comes to."""
    subject = Subject(ttl_s=0.3)
    subject.store.says = absent()
    subject.store.may.clear()
    begun, ends = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with subject.watch("p") as watch:
            begun.set()
            while (await watch.next()).change == "removed":
                pass
            await ends.wait()

    first = asyncio.ensure_future(hold())
    await subject.store.asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    subject.store.may.set()
    async with asyncio.timeout(10):
        await begun.wait()
        subject.store.says = make_template("p", "1")
        ends.set()
        await second

    await subject.watches.aclose()
    await subject.cache.aclose()


@pytest.mark.parametrize("age_s", [5.0, 500.0])
async def test_copy_that_is_recalled(age_s: float) -> None:
    """What comes back from the disk while its store is down is told to all who watch it."""
    copies, clock = KeptCopies(), Clock()
    subject = Subject(store=ToldStore(unavailable()), copies=copies, clock=clock)
    loop = asyncio.get_running_loop()
    async with subject.watch("p") as named, subject.watch() as of_all, asyncio.timeout(10):
        (unserved,) = await read(named, 1)
        copies.copy = Copy(make_template("p", "1"), age_s)
        clock.now += 10
        served = await subject.cache.get(
            PromptRef(id="p"), refresh=False, deadline=loop.time() + 10
        )
        told = [(await watch.next()) for watch in (named, of_all)]
    await subject.watches.aclose()
    await subject.cache.aclose()

    assert not unserved.served.template.version
    assert served.cache == "fallback"
    assert [event.served.template.version for event in told] == ["1", "1"]


async def test_copy_that_is_restored() -> None:
    """What is read from a slow disk once the doors are open is told to all who watch it."""
    subject = Subject(store=ToldStore(unavailable()))
    async with subject.watch() as of_all, asyncio.timeout(10):
        subject.cache.restore(subject.key("p"), make_template("p", "1"), age_s=5)
        event = await of_all.next()
    await subject.watches.aclose()
    await subject.cache.aclose()

    assert (event.ref.id, event.served.template.version) == ("p", "1")
