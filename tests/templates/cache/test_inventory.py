"""What the cache tells of what it holds."""

import asyncio

from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.inventory import HeldTemplate, Inventory
from prompt_resolver_server.templates.cache.source import Source
from tests.support.caches import FollowedCache, P
from tests.support.stores import Clock, ToldStore, make_template, no_jitter, unavailable

TTL_S = 60.0


class Subject:
    """A cache over one store, and its inventory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = ToldStore(make_template("p", "1"))
        self.cache = TemplateCache(
            sources={"told": Source(self.store, TTL_S)},
            default_store="told",
            metrics=Metrics(CollectorRegistry(), version="test"),
            clock=self.clock,
            draw=no_jitter,
        )

    @property
    def inventory(self) -> Inventory:
        return self.cache.inventory

    async def get(self, prompt_id: str = "p", **selector: str) -> None:
        await self.ask(PromptRef(id=prompt_id, **selector))

    async def ask(self, ref: PromptRef, *, caller_key: str | None = None) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        await self.cache.get(ref, refresh=False, deadline=deadline, caller_key=caller_key)
        # A fetch in the background ends as well.
        for flight in list(self.cache._flights._running.values()):
            await flight.task

    def one(self) -> HeldTemplate:
        (held,) = self.inventory.find(most=10)
        return held

    def ids(self, text: str = "", *, skip: int = 0, most: int = 10) -> list[str]:
        return [held.id for held in self.inventory.find(text, skip=skip, most=most)]


async def test_uses() -> None:
    """A prompt's uses are counted over its versions, and looking is none."""
    subject = Subject()
    for _ in range(3):
        await subject.get()
    subject.store.says = make_template("p", "2")
    subject.clock.now += TTL_S
    await subject.get()
    subject.clock.now += 5

    for _ in range(2):
        held = subject.one()

    assert (held.template.version, held.served, held.idle_s, held.age_s) == ("2", 4, 5.0, 5.0)


async def test_freshness() -> None:
    """A prompt is fresh, then due, and stale once its store has failed; then it is fresh again."""
    subject = Subject()
    await subject.get()
    assert (subject.one().freshness, subject.one().age_s) == ("fresh", 0.0)

    subject.clock.now += TTL_S
    assert (subject.one().freshness, subject.one().age_s) == ("due", TTL_S)

    told, subject.store.says = subject.store.says, unavailable()
    await subject.get()
    assert (subject.one().freshness, subject.one().age_s) == ("stale", TTL_S)

    subject.store.says = told
    subject.clock.now += TTL_S
    await subject.get()
    assert (subject.one().freshness, subject.one().age_s) == ("fresh", 0.0)


async def test_order_and_filter() -> None:
    """What was asked for last is first; a filter looks at ids and names, whatever their case."""
    subject = Subject()
    for prompt_id in ("one", "two", "THREE", "two"):
        subject.store.says = make_template(prompt_id, "1")
        await subject.get(prompt_id)
    subject.store.says = make_template("Torch", "1")
    await subject.get("pr_4")

    assert subject.ids() == ["pr_4", "two", "THREE", "one"]
    assert subject.ids(skip=1, most=2) == ["two", "THREE"]
    assert subject.ids("T") == ["pr_4", "two", "THREE"]
    assert subject.ids("t", skip=1, most=1) == ["two"]
    assert subject.ids("nothing") == []


async def test_selectors() -> None:
    """A prompt that is held by several selectors is told of by each, with why."""
    subject = Subject()
    await subject.get()
    await subject.get(version="v1")
    await subject.get(environment="staging")

    told = [
        (held.version, held.environment, held.reason) for held in subject.inventory.find(most=9)
    ]

    assert told == [
        (None, "staging", "deployed"),
        ("v1", None, "pinned"),
        (None, None, "deployed"),
    ]


async def test_a_callers_own() -> None:
    """What a caller's own key has opened is counted among what is held, and not told of."""
    subject = Subject()
    await subject.ask(PromptRef(id="p"), caller_key="key-of-caller")

    assert subject.inventory.entries == 1
    assert subject.inventory.size > 0
    assert subject.ids() == []


async def test_looking_is_no_use() -> None:
    """Looking at a template does not keep it from being the next to go."""
    subject = FollowedCache()
    await subject.get(PromptRef(id="first"))
    await subject.get(PromptRef(id="second"))

    subject.look(PromptRef(id="first"))

    assert [key.id for key, _ in subject.cache._held.recent()] == ["second", "first"]


async def test_when_the_store_is_due() -> None:
    """The time that is left is that of the time to live, or of the pause after a failure."""
    subject = FollowedCache()
    key = subject.cache.key(P)
    due = [subject.cache.inventory.due_s(key)]
    await subject.get()
    due.append(subject.cache.inventory.due_s(key))
    subject.clock.now += TTL_S
    due.append(subject.cache.inventory.due_s(key))
    subject.store.says = unavailable()
    await subject.renew()
    due.append(subject.cache.inventory.due_s(key))

    assert due[:3] == [0, TTL_S, 0]
    assert 0 < due[3] < TTL_S
