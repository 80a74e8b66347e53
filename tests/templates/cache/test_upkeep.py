"""What is held can be kept current without being served, looked at, and forgotten on demand."""

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.errors import CallError, Reason, ResolverError
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.prompts import PromptRef, ServedTemplate, Template
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.entries import Held, Key
from prompt_resolver_server.templates.cache.source import Source
from tests.support.stores import Clock, ToldStore, absent, make_template, unavailable

ONE, TWO = make_template("p", "1"), make_template("p", "2")
P = PromptRef(id="p")
TTL_S = 60.0


@dataclass
class Told:
    """A listener that notes what it is told."""

    events: list[str] = field(default_factory=list)

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        self.events.append(f"confirmed {key.id} {held.template.version} {changed}")

    def failing(self, key: Key, held: Held) -> None:
        self.events.append(f"failing {key.id} {held.template.version}")

    def dropped(self, key: Key) -> None:
        self.events.append(f"dropped {key.id}")


class Subject:
    """A cache over one store, which a listener follows."""

    def __init__(self, ttl_s: float = TTL_S) -> None:
        self.store, self.clock, self.told = ToldStore(ONE), Clock(), Told()
        self.metrics = Metrics(CollectorRegistry(), version="test")
        self.cache = TemplateCache(
            sources={"told": Source(self.store, ttl_s), "other": Source(self.store, ttl_s)},
            default_store="told",
            metrics=self.metrics,
            clock=self.clock,
            draw=lambda: 0.0,
        )
        self.cache.listen(self.told)
        self.deadline = asyncio.get_running_loop().time() + 10

    async def get(self, ref: PromptRef = P, caller_key: str | None = None) -> ServedTemplate:
        return await self.cache.get(
            ref, refresh=False, deadline=self.deadline, caller_key=caller_key
        )

    async def renew(self, ref: PromptRef = P) -> None:
        await self.cache.renew(ref, deadline=self.deadline)

    @property
    def fetches(self) -> int:
        return len(self.store.fetches)

    def look(self, ref: PromptRef = P) -> ServedTemplate | None:
        return self.cache.inventory.look(self.cache.key(ref))


async def test_renewing_asks_where_it_is_due() -> None:
    """A template is fetched if it is not held, and again once its time to live is over."""
    subject = Subject()
    counts = []
    for passed_s in (0.0, TTL_S / 2, TTL_S):
        subject.clock.now += passed_s
        await subject.renew()
        counts.append(subject.fetches)

    assert counts == [1, 1, 2]
    assert subject.told.events == ["confirmed p 1 True", "confirmed p 1 False"]


async def test_renewing_serves_nobody() -> None:
    """What is renewed counts as served nowhere."""
    subject = Subject()

    await subject.renew()

    (held,) = subject.cache.inventory.find(most=10)
    served = subject.metrics.registry.get_sample_value(
        "prompt_resolver_template_cache_requests_total", {"store": "told", "result": "miss"}
    )
    assert held.served == 0
    assert not served


async def test_renewing_waits_for_a_change() -> None:
    """Whoever renews what is past its time finds the new version when that has ended."""
    subject = Subject()
    await subject.renew()
    subject.clock.now += TTL_S
    subject.store.says = TWO

    await subject.renew()

    looked = subject.look()
    assert looked is not None
    assert (looked.template.version, looked.cache, looked.stale) == ("2", "hit", False)


async def test_renewing_while_the_store_is_down() -> None:
    """A store that fails is left alone for a while, and is no error while there is a copy."""
    subject = Subject()
    await subject.renew()
    subject.clock.now += TTL_S
    subject.store.says = unavailable()

    await subject.renew()
    await subject.renew()

    looked = subject.look()
    assert subject.fetches == 2
    assert looked is not None
    assert (looked.cache, looked.stale, looked.age_s) == ("stale", True, TTL_S)


@pytest.mark.parametrize("error", [unavailable(), absent()], ids=["down", "absent"])
async def test_renewing_what_is_not_there(error: ResolverError) -> None:
    """Without a copy, whoever renews is told why there is none."""
    subject = Subject()
    subject.store.says = error

    with pytest.raises(ResolverError) as caught:
        await subject.renew()

    assert caught.value.reason is error.reason
    assert subject.look() is None


async def test_a_confirmation_ends_a_failure() -> None:
    """Listeners learn that a store confirms at once what it failed to before."""
    subject = Subject(ttl_s=0)
    await subject.get()
    subject.store.says = unavailable()
    await subject.get()
    subject.store.confirmed = ONE

    await subject.get()

    assert subject.told.events == ["confirmed p 1 True", "failing p 1", "confirmed p 1 False"]


async def test_looking_is_no_use() -> None:
    """Looking at a template does not keep it from being the next to go."""
    subject = Subject()
    await subject.get(PromptRef(id="first"))
    await subject.get(PromptRef(id="second"))

    subject.look(PromptRef(id="first"))

    assert [key.id for key, _ in subject.cache._held.recent()] == ["second", "first"]


async def test_when_the_store_is_due() -> None:
    """The time that is left is that of the time to live, or of the pause after a failure."""
    subject = Subject()
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


SELECTED = [P, PromptRef(id="p", version="1"), PromptRef(id="p", environment="staging")]
OTHERS = [PromptRef(id="pp"), PromptRef(id="p", store="other")]


@pytest.mark.parametrize(
    ("ref", "left"),
    [(P, OTHERS), (SELECTED[1], [P, SELECTED[2], *OTHERS])],
    ids=["every version", "one version"],
)
async def test_exactly_what_is_named_is_forgotten(ref: PromptRef, left: list[PromptRef]) -> None:
    """A prompt goes with all its versions, or one version alone; nothing else goes."""
    subject = Subject()
    for each in [*SELECTED, *OTHERS]:
        await subject.get(each)

    dropped = subject.cache.invalidate([ref])

    held = [each for each in [*SELECTED, *OTHERS] if subject.look(each) is not None]
    assert held == left
    assert dropped == len(SELECTED) + len(OTHERS) - len(left)
    assert f"dropped {ref.id}" in subject.told.events


async def test_copies_of_callers_are_forgotten() -> None:
    """What callers' own keys have opened goes as well."""
    subject = Subject()
    await subject.get()
    await subject.get(caller_key="key-of-one")
    await subject.get(caller_key="key-of-two")

    assert subject.cache.invalidate([P]) == 3
    assert len(subject.cache.inventory.keys()) == subject.cache.inventory.entries == 0


async def test_absences_are_forgotten() -> None:
    """A prompt that was absent is asked for again, and counts as no copy."""
    subject = Subject()
    subject.store.says = absent()
    with pytest.raises(ResolverError):
        await subject.get()
    subject.store.says = ONE

    dropped = subject.cache.invalidate([P])
    served = await subject.get()

    assert dropped == 0
    assert served.template is ONE


async def test_an_unknown_store_forgets_nothing() -> None:
    """Where one of the references has no store, none of them is forgotten."""
    subject = Subject()
    await subject.get()

    with pytest.raises(CallError) as caught:
        subject.cache.invalidate([P, PromptRef(id="p", store="nowhere")])

    assert caught.value.reason is Reason.STORE_UNKNOWN
    assert subject.look() is not None


@pytest.mark.parametrize("late", [ONE, absent()], ids=["a template", "an absence"])
async def test_what_was_on_its_way_is_not_held(late: Template | ResolverError) -> None:
    """What the store answered before is for those who waited; the next call asks anew."""
    subject = Subject()
    subject.store.says = late
    subject.store.may.clear()
    waiting = asyncio.ensure_future(subject.get())
    await subject.store.asked.wait()

    subject.cache.invalidate([P])
    subject.store.may.set()
    await asyncio.gather(waiting, return_exceptions=True)
    held = subject.look()
    subject.store.says = TWO
    served = await subject.get()

    assert held is None
    assert served.template is TWO
    assert subject.fetches == 2


async def test_closing_ends_forgotten_fetches() -> None:
    """A fetch that nobody needs any more does not outlive the cache."""
    subject = Subject()
    subject.store.may.clear()
    waiting = asyncio.ensure_future(subject.get())
    await subject.store.asked.wait()
    subject.cache.invalidate([P])

    await subject.cache.aclose()

    assert subject.store.running == 0
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
