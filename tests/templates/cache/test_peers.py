"""A cache that has peers asks its store only for what none of them knows."""

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import CallError, Reason, ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.entries import Held, Key
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.peers import Copy
from prompt_resolver_server.templates.cache.source import Source
from tests.support.stores import (
    Clock,
    ToldStore,
    absent,
    forbidden,
    make_template,
    unavailable,
)

ONE, TWO = make_template("p", "1"), make_template("p", "2")
TTL_S = 60.0
P = PromptRef(id="p")
KEY = Key("told", "p", None, None, b"")


@dataclass
class ToldPeers:
    """Peers that know `copy`, and let the store be asked where `grants` says so."""

    copy: Copy | None = None
    grants: bool = True
    told: list[tuple[str, Key]] = field(default_factory=list)
    closed: bool = False

    def shares(self, key: Key) -> bool:
        return key.store == "told" and not key.credential

    async def find(self, key: Key, held: Template | None) -> Copy | None:
        self.told.append(("find", key))
        return self.copy

    async def claim(self, key: Key, seen: Copy | None) -> bool:
        return self.grants

    def confirmed(self, key: Key, held: Held) -> None:
        self.told.append(("confirmed", key))

    def failed(self, key: Key) -> None:
        self.told.append(("failed", key))

    def forgotten(self, key: Key) -> None:
        self.told.append(("forgotten", key))

    def gone(self, key: Key) -> None:
        self.told.append(("gone", key))

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Subject:
    """A cache with peers, over the stores `told` and `asked`, which is asked with each call."""

    peers: ToldPeers
    told: ToldStore
    asked: ToldStore
    clock: Clock
    cache: TemplateCache

    async def get(
        self, ref: PromptRef = P, *, refresh: bool = False, caller_key: str | None = None
    ) -> ServedTemplate:
        deadline = asyncio.get_running_loop().time() + 10
        return await self.cache.get(ref, refresh=refresh, deadline=deadline, caller_key=caller_key)

    async def settle(self) -> None:
        """Let the fetches in the background end."""
        while flights := list(self.cache._flights._running.values()):
            await asyncio.gather(*[flight.task for flight in flights])


@pytest.fixture
def subject() -> Subject:
    peers, told, asked, clock = ToldPeers(), ToldStore(ONE), ToldStore(ONE), Clock()
    cache = TemplateCache(
        sources={"told": Source(told, TTL_S), "asked": Source(asked, 0)},
        default_store="told",
        metrics=Metrics(CollectorRegistry(), version="test"),
        limits=CacheLimits(max_entries=50),
        clock=clock,
        draw=lambda: 0.0,
        peers=peers,
    )
    return Subject(peers, told, asked, clock, cache)


def told(served: ServedTemplate) -> tuple[str, str, float, bool]:
    return served.template.version, served.cache, served.age_s, served.stale


async def test_copy(subject: Subject) -> None:
    """A copy that is fresh is served with its age, and the store is not asked."""
    subject.peers.copy = Copy(TWO, 20)

    assert told(await subject.get()) == ("2", "miss", 20, False)
    assert told(await subject.get()) == ("2", "hit", 20, False)
    assert subject.told.fetches == []
    assert subject.peers.told == [("find", KEY)]


async def test_old_copy(subject: Subject) -> None:
    """A copy that has outlived its time is no answer while the store has one."""
    subject.peers.copy = Copy(TWO, 61)

    assert told(await subject.get()) == ("1", "miss", 0, False)


@pytest.mark.parametrize("refresh", [True, False])
async def test_store_is_down(subject: Subject, refresh: bool) -> None:
    """Where the store does not answer, a copy of any age does, and says so."""
    subject.peers.copy = Copy(TWO, 3600)
    subject.told.says = unavailable()

    assert told(await subject.get(refresh=refresh)) == ("2", "fallback", 3600, True)
    assert told(await subject.get()) == ("2", "fallback", 3600, True)


@pytest.mark.parametrize(
    "failure", [absent(), forbidden(), CallError(Reason.PROMPT_ID_INVALID, "expected an id")]
)
async def test_store_has_the_last_word(subject: Subject, failure: ResolverError) -> None:
    """What the store denies, no copy is served for."""
    subject.peers.copy = Copy(TWO, 3600)
    subject.told.says = failure

    with pytest.raises(ResolverError) as caught:
        await subject.get()

    assert caught.value.reason == failure.reason


async def test_tells(subject: Subject) -> None:
    """The peers are told what the store says, and nothing of what they said themselves."""
    await subject.get()
    subject.told.says = unavailable()
    await subject.get(refresh=True)
    subject.told.says = absent()
    with pytest.raises(ResolverError):
        await subject.get(refresh=True)

    assert [what for what, _ in subject.peers.told] == ["find", "confirmed", "failed", "gone"]


async def test_refresh(subject: Subject) -> None:
    """A caller that asks for a refresh has the store asked, whatever the peers know."""
    subject.peers.copy = Copy(TWO, 1)

    assert told(await subject.get(refresh=True)) == ("1", "bypass", 0, False)


@pytest.mark.parametrize(
    ("ref", "caller_key"), [(P, "key-of-caller"), (PromptRef(id="p", store="asked"), None)]
)
async def test_not_shared(subject: Subject, ref: PromptRef, caller_key: str | None) -> None:
    """Of what a caller's own key opens, and of other stores, the peers hear nothing."""
    subject.peers.copy = Copy(TWO, 1)

    assert (await subject.get(ref, caller_key=caller_key)).template is ONE
    assert subject.peers.told == []


async def test_due(subject: Subject) -> None:
    """When a template is due, a peer that has asked the store meanwhile is believed."""
    await subject.get()
    subject.clock.now += 61
    subject.peers.copy = Copy(TWO, 2)
    assert told(await subject.get()) == ("1", "stale", 61, False)
    await subject.settle()

    assert told(await subject.get()) == ("2", "hit", 2, False)
    assert len(subject.told.fetches) == 1


async def test_another_one_asks(subject: Subject) -> None:
    """While a peer asks the store, what is held is served, and looked for again soon."""
    await subject.get()
    subject.clock.now += 61
    subject.peers.grants = False
    for _ in range(5):
        assert told(await subject.get()) == ("1", "stale", 61, False)
        await subject.settle()
    assert len(subject.told.fetches) == 1
    assert len(subject.peers.told) == 3

    subject.clock.now += 0.25
    subject.peers.copy = Copy(TWO, 0.125)
    await subject.get()
    await subject.settle()
    assert told(await subject.get()) == ("2", "hit", 0.125, False)


async def test_back_for_a_peer(subject: Subject) -> None:
    """A store that has answered a peer is believed to be there."""
    await subject.get()
    subject.told.says = unavailable()
    await subject.get(refresh=True)
    assert subject.cache.is_down("told")
    subject.clock.now += 61
    subject.peers.copy = Copy(TWO, 1)
    await subject.get()
    await subject.settle()

    assert not subject.cache.is_down("told")


async def test_news(subject: Subject) -> None:
    """News of a change have it looked for at once, and an absence forgotten."""
    await subject.get()
    subject.clock.now += 5
    subject.peers.copy = Copy(TWO, 1)
    subject.cache.invalidation.look(KEY)
    await subject.settle()

    assert told(await subject.get()) == ("2", "hit", 1, False)
    assert len(subject.told.fetches) == 1


async def test_news_of_what_is_not_held(subject: Subject) -> None:
    """News of what nobody has asked for cost nothing, save that an absence is forgotten."""
    subject.told.says = absent()
    with pytest.raises(ResolverError):
        await subject.get()
    subject.told.says = ONE
    subject.cache.invalidation.look(KEY)
    await subject.settle()
    assert len(subject.told.fetches) == 1

    assert told(await subject.get()) == ("1", "miss", 0, False)


async def test_old_news(subject: Subject) -> None:
    """A copy that is older than what is held is not taken for news, and asks nobody."""
    await subject.get()
    subject.clock.now += 5
    subject.peers.copy = Copy(TWO, 6)
    subject.cache.invalidation.look(KEY)
    await subject.settle()

    assert told(await subject.get()) == ("1", "hit", 5, False)
    assert len(subject.told.fetches) == 1


@pytest.mark.parametrize("older_s", [0.01, 0.05, 0.15])
async def test_news_of_the_same_moment(subject: Subject, older_s: float) -> None:
    """Where two versions are of one moment, the store is asked which one it is."""
    await subject.get()
    subject.clock.now += 5
    subject.peers.copy = Copy(TWO, 5 + older_s)
    subject.told.says = TWO
    subject.cache.invalidation.look(KEY)
    await subject.settle()

    assert told(await subject.get()) == ("2", "hit", 0, False)
    assert len(subject.told.fetches) == 2


async def test_news_during_a_fetch(subject: Subject) -> None:
    """News that come while the store is asked are looked for afterwards, and once."""
    await subject.get()
    subject.clock.now += 61
    subject.told.may.clear()
    subject.told.asked.clear()
    await subject.get()
    await subject.told.asked.wait()
    subject.clock.now += 1
    subject.peers.copy = Copy(TWO, 0.5)
    for _ in range(10):
        subject.cache.invalidation.look(KEY)
    subject.told.may.set()
    await subject.settle()

    assert told(await subject.get()) == ("2", "hit", 0.5, False)
    assert len([what for what, _ in subject.peers.told if what == "find"]) == 3


async def test_gone(subject: Subject) -> None:
    """Where a store denies a peer something, this replica asks for itself."""
    await subject.get()
    subject.peers.copy = Copy(TWO, 1)
    subject.cache.invalidation.look(KEY, ask_store=True)
    await subject.settle()

    assert told(await subject.get()) == ("1", "hit", 0, False)
    assert len(subject.told.fetches) == 2


async def test_doubt(subject: Subject) -> None:
    """What may have changed unnoticed is served, with its age, while the store is asked once."""
    await subject.get()
    subject.clock.now += 5
    subject.told.says = TWO
    subject.cache.invalidation.doubt()
    assert len(subject.told.fetches) == 1

    assert told(await subject.get()) == ("1", "hit", 5, False)
    await subject.settle()
    assert told(await subject.get()) == ("2", "hit", 0, False)
    assert len(subject.told.fetches) == 2


async def test_close(subject: Subject) -> None:
    """The peers are left, and news that come then begin nothing."""
    await subject.get()
    subject.clock.now += 61
    subject.told.may.clear()
    subject.told.asked.clear()
    await subject.get()
    await subject.told.asked.wait()
    subject.cache.invalidation.look(KEY)
    await subject.cache.aclose()
    await asyncio.sleep(0)

    assert subject.peers.closed
    assert not subject.cache._flights._running


async def test_copy_that_is_too_large_to_be_held(subject: Subject) -> None:
    """A copy that there is no room for is served with its own age."""
    subject.peers.copy = Copy(make_template("p", "2", size=100 * 1024 * 1024), 20)

    assert told(await subject.get()) == ("2", "miss", 20, False)


async def test_copy_from_before_the_failure(subject: Subject) -> None:
    """That a store answered a peer before it failed here does not tell that it is there."""
    await subject.get()
    subject.clock.now += 61
    subject.told.says = unavailable()
    await subject.get()
    await subject.settle()
    subject.clock.now += 2
    subject.peers.copy = Copy(TWO, 3)
    assert told(await subject.get(PromptRef(id="q"))) == ("2", "miss", 3, False)

    assert subject.cache.is_down("told")


async def test_what_was_denied_is_still_shared(subject: Subject) -> None:
    """A copy from before the store has denied it is no copy, as long as it may be found."""
    await subject.get()
    subject.told.says = absent()
    with pytest.raises(ResolverError):
        await subject.get(refresh=True)
    subject.clock.now += 6
    subject.peers.copy = Copy(ONE, 7)
    subject.told.says = unavailable()
    with pytest.raises(ResolverError) as caught:
        await subject.get()
    assert caught.value.reason is Reason.STORE_UNAVAILABLE

    subject.clock.now += 61
    subject.peers.copy = Copy(TWO, 1)
    assert told(await subject.get()) == ("2", "miss", 1, False)


async def test_old_news_of_what_had_to_make_room(subject: Subject) -> None:
    """What was served and is held no longer is not followed by what is older than that."""
    await subject.get()
    for number in range(subject.cache._held.max_entries):
        await subject.get(PromptRef(id=f"p{number}"))
    assert subject.cache.inventory.look(KEY) is None
    subject.clock.now += 5
    subject.peers.copy = Copy(TWO, 6)
    assert told(await subject.get()) == ("1", "miss", 0, False)

    for number in range(subject.cache._held.max_entries):
        await subject.get(PromptRef(id=f"p{number}"), refresh=True)
    subject.peers.copy = Copy(TWO, 0)
    assert told(await subject.get()) == ("2", "miss", 0, False)


async def test_another_one_asks_a_store_that_is_down(subject: Subject) -> None:
    """While the store is down, that a peer asks it counts as if this replica did."""

    async def fetches_after(seconds: float) -> int:
        subject.clock.now += seconds
        before = len(subject.told.fetches)
        await subject.get()
        await subject.settle()
        return len(subject.told.fetches) - before

    await subject.get()
    subject.told.says = unavailable()
    assert [await fetches_after(61) for _ in range(10)] == [1] * 10
    subject.peers.grants = False
    assert await fetches_after(1.5) == 0
    subject.peers.grants = True

    assert [await fetches_after(0.25) for _ in range(6)] == [0, 0, 0, 0, 0, 1]
