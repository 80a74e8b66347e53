"""The cache serves what stores confirmed: fresh while they answer, and there when they do not."""

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import (
    Blame,
    CallError,
    Reason,
    ResolverError,
    StoreError,
    TemplateError,
)
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate, Template
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache import ledger
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.source import Source
from tests.support.stores import (
    Clock,
    ToldStore,
    absent,
    forbidden,
    make_template,
    no_jitter,
    unavailable,
)

ONE, TWO = make_template("p", "1"), make_template("p", "2")
TTL_S = 60.0
DEFAULT_LIMITS = CacheLimits()
P = PromptRef(id="p")


@dataclass
class Subject:
    """A cache over the stores `told`, which lives for a minute, and `asked`, for no time at all."""

    cache: TemplateCache
    told: ToldStore
    asked: ToldStore
    clock: Clock
    metrics: Metrics

    async def get(
        self,
        ref: PromptRef = P,
        *,
        refresh: bool = False,
        caller_key: str | None = None,
        within_s: float = 10.0,
    ) -> ServedTemplate:
        deadline = asyncio.get_running_loop().time() + within_s
        return await self.cache.get(ref, refresh=refresh, deadline=deadline, caller_key=caller_key)

    async def fails(self, ref: PromptRef = P, *, refresh: bool = False) -> Reason:
        with pytest.raises(ResolverError) as caught:
            await self.get(ref, refresh=refresh)
        return caught.value.reason

    async def settle(self) -> None:
        """Let the fetches in the background end."""
        flights = self.cache._flights._running.values()
        await asyncio.gather(*[flight.task for flight in flights])

    def fetches(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "prompt_resolver_template_fetch_duration_seconds_count",
            {"store": "told", "outcome": outcome},
        )


def make(limits: CacheLimits = DEFAULT_LIMITS, draw: Callable[[], float] = no_jitter) -> Subject:
    told, asked, clock = ToldStore(ONE), ToldStore(ONE), Clock()
    metrics = Metrics(CollectorRegistry(), version="test")
    cache = TemplateCache(
        sources={"told": Source(told, TTL_S), "asked": Source(asked, 0)},
        default_store="told",
        metrics=metrics,
        limits=limits,
        clock=clock,
        draw=draw,
    )
    return Subject(cache, told, asked, clock, metrics)


@pytest.fixture
def subject() -> Subject:
    return make()


def told(served: ServedTemplate) -> tuple[str, str, float, bool]:
    return served.template.version, served.cache, served.age_s, served.stale


async def test_fresh(subject: Subject) -> None:
    """What was fetched is served from memory for as long as it lives, with its age."""
    assert told(await subject.get()) == ("1", "miss", 0, False)
    subject.clock.now += 59
    assert told(await subject.get()) == ("1", "hit", 59, False)
    assert len(subject.told.fetches) == 1


async def test_stale_while_revalidating(subject: Subject) -> None:
    """After that the old version is served while one fetch runs, and then the new one."""
    await subject.get()
    subject.clock.now += 61
    subject.told.says = TWO
    subject.told.may.clear()

    assert [told(await subject.get()) for _ in range(3)] == [("1", "stale", 61, False)] * 3
    subject.told.may.set()
    await subject.settle()

    assert told(await subject.get()) == ("2", "hit", 0, False)
    assert len(subject.told.fetches) == 2


@pytest.mark.parametrize(
    "failure",
    [
        unavailable(),
        TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt"),
        RuntimeError("a fault of ours"),
    ],
)
async def test_store_that_fails(subject: Subject, failure: Exception) -> None:
    """A store that is down or talks nonsense changes nothing for what is known: it gets older."""
    await subject.get()
    subject.clock.now += 61
    subject.told.says = failure
    await subject.get()
    await subject.settle()

    assert told(await subject.get()) == ("1", "stale", 61, True)
    subject.clock.now += 3600
    assert told(await subject.get()) == ("1", "stale", 3661, True)
    await subject.settle()

    subject.told.says = TWO
    subject.clock.now += 1.5
    await subject.get()
    await subject.settle()
    assert told(await subject.get()) == ("2", "hit", 0, False)


async def test_log_of_a_store_that_fails(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells which prompt its store could not confirm, and what is wrong with the store."""
    await subject.get()
    subject.clock.now += 61
    subject.told.says = StoreError(
        Reason.STORE_UNAVAILABLE, "away", metadata={"store": "told", "problem": "timeout"}
    )
    await subject.get()
    await subject.settle()

    [line] = [vars(each) for each in caplog.records if "a store fails" in each.message]
    assert (line["store"], line["prompt"]) == ("told", "p")
    assert line["reason"] == "STORE_UNAVAILABLE"
    assert line["details"]["problem"] == "timeout"


async def test_backs_off(subject: Subject) -> None:
    """A store that is down is asked again after a wait that grows, up to a second and a half."""
    await subject.get()
    subject.clock.now += 61
    subject.told.says = unavailable()
    waits: list[float] = []
    waited = 0.0
    while len(waits) < 5:
        asked = len(subject.told.fetches)
        await subject.get()
        await subject.settle()
        if len(subject.told.fetches) > asked:
            waits.append(waited)
            waited = 0.0
        subject.clock.now += 0.25
        waited += 0.25

    assert waits == [0, 0.25, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(("asked_s", "waited_s"), [(0.01, 0.25), (7, 7), (3600, 60)])
async def test_store_that_asks_to_be_left_alone(
    subject: Subject, asked_s: float, waited_s: float
) -> None:
    """A store that says how long to wait is not asked again before, within a minute."""
    await subject.get()
    subject.clock.now += 61
    error = unavailable()
    error.retry_after_s = asked_s
    subject.told.says = error
    await subject.get()
    await subject.settle()

    subject.clock.now += waited_s - 0.01
    await subject.get()
    await subject.settle()
    assert len(subject.told.fetches) == 2
    subject.clock.now += 0.02
    await subject.get()
    await subject.settle()
    assert len(subject.told.fetches) == 3


async def test_down_from_the_beginning(subject: Subject) -> None:
    """A store that fails while nothing is held fails the calls, and is asked once for each step."""
    subject.told.says = unavailable()
    assert [await subject.fails() for _ in range(3)] == [Reason.STORE_UNAVAILABLE] * 3
    assert len(subject.told.fetches) == 1

    subject.told.says = ONE
    subject.clock.now += 0.25
    assert told(await subject.get()) == ("1", "miss", 0, False)


async def test_store_that_is_down_is_asked_again_when_it_is_told(subject: Subject) -> None:
    """Who gets nothing is told when the store is asked again, by whatever is known of that."""
    subject.told.says = unavailable()

    async def wait_s() -> float | None:
        with pytest.raises(StoreError) as caught:
            await subject.get()
        return caught.value.retry_after_s

    waits = [await wait_s()]
    for _ in range(3):
        subject.clock.now += 0.125
        waits.append(await wait_s())
    assert waits == [0.25, 0.125, 0.5, 0.375]

    subject.clock.now += 0.5
    subject.told.says.retry_after_s = 7.0
    waits = [await wait_s()]
    subject.clock.now += 2
    waits.append(await wait_s())
    assert waits == [7.0, 5.0]
    assert len(subject.told.fetches) == 3


async def test_asking_each_time_asks_a_store_that_is_down(subject: Subject) -> None:
    """A store that is asked with each call is asked with each call while it is down, too."""
    ref = PromptRef(id="p", store="asked")
    subject.asked.says = unavailable()
    assert await subject.fails(ref) == Reason.STORE_UNAVAILABLE
    subject.asked.says = ONE

    assert told(await subject.get(ref)) == ("1", "miss", 0, False)


async def test_refresh_comes_early() -> None:
    """A refresh comes up to a tenth of the time to live early, and nobody is told or waits."""
    drawn = [1.0]
    subject = make(draw=lambda: drawn[0])
    await subject.get()
    subject.clock.now += 53
    await subject.get()
    assert len(subject.told.fetches) == 1

    subject.clock.now += 2
    subject.told.says = TWO
    assert told(await subject.get()) == ("1", "hit", 55, False)
    await subject.settle()
    assert told(await subject.get()) == ("2", "hit", 0, False)


async def test_refresh_that_comes_early_and_fails() -> None:
    """Until its time to live is over, what is held is fresh, whatever the store says."""
    subject = make(draw=lambda: 1.0)
    await subject.get()
    subject.told.says = unavailable()
    subject.clock.now += 55
    await subject.get()
    await subject.settle()

    assert told(await subject.get()) == ("1", "hit", 55, False)
    subject.clock.now += 5
    assert told(await subject.get()) == ("1", "stale", 60, True)


async def test_deadline_while_something_is_held(subject: Subject) -> None:
    """Who asks for a refresh gets what is held once the time is over, and the fetch goes on."""
    await subject.get()
    subject.told.may.clear()
    assert told(await subject.get(refresh=True, within_s=0.01)) == ("1", "stale", 0, True)

    subject.told.says = TWO
    subject.told.may.set()
    await subject.settle()
    assert told(await subject.get()) == ("2", "hit", 0, False)


async def test_absent(subject: Subject) -> None:
    """A prompt that the store does not have is not asked for again for a while."""
    subject.told.says = absent()
    assert [await subject.fails() for _ in range(3)] == [Reason.PROMPT_NOT_FOUND] * 3
    assert len(subject.told.fetches) == 1

    subject.told.says = ONE
    subject.clock.now += 5
    assert told(await subject.get()) == ("1", "miss", 0, False)


class _Key(str):
    """A key of which it can be told whether it is still in memory."""

    __slots__ = ("__weakref__",)


async def test_absent_for_a_caller(subject: Subject) -> None:
    """That a prompt is absent is remembered without the key of the caller who asked for it."""
    subject.told.says = absent()
    key = _Key("key")
    kept = weakref.ref(key)
    with pytest.raises(ResolverError):
        await subject.get(caller_key=key)

    del key
    subject.told.says = ONE
    subject.told.fetches.clear()
    gc.collect()

    assert kept() is None
    with pytest.raises(ResolverError):
        await subject.get(caller_key="key")


async def test_removed(subject: Subject) -> None:
    """A prompt that was removed is gone once the store has said so."""
    await subject.get()
    subject.told.says = absent()
    subject.clock.now += 61
    await subject.get()
    await subject.settle()

    assert await subject.fails() == Reason.PROMPT_NOT_FOUND


async def test_forbidden(subject: Subject) -> None:
    """A key that the store no longer takes opens nothing, and that is not taken for absence."""
    await subject.get()
    subject.told.says = forbidden()
    subject.clock.now += 61
    await subject.get()
    await subject.settle()

    assert await subject.fails() == Reason.STORE_AUTH
    subject.told.says = TWO
    assert told(await subject.get()) == ("2", "miss", 0, False)


async def test_whose_key_is_refused(subject: Subject) -> None:
    """A key of a caller's that the store refuses is counted apart from the configured one."""
    subject.told.says = forbidden(Blame.CALLER)
    with pytest.raises(ResolverError):
        await subject.get(caller_key="key-of-caller")
    subject.told.says = forbidden()
    await subject.fails()

    assert (subject.fetches("store_auth_caller_key"), subject.fetches("store_auth")) == (1, 1)


async def test_refresh(subject: Subject) -> None:
    """A caller that asks for a refresh gets what the store says now."""
    await subject.get()
    subject.told.says = TWO

    assert told(await subject.get(refresh=True)) == ("2", "bypass", 0, False)
    assert told(await subject.get()) == ("2", "hit", 0, False)


async def test_refresh_that_fails(subject: Subject) -> None:
    """A refresh that fails serves what is held, and says so; a refusal is told."""
    await subject.get()
    subject.told.says = unavailable()
    assert told(await subject.get(refresh=True)) == ("1", "stale", 0, True)

    subject.told.says = absent()
    assert await subject.fails(refresh=True) == Reason.PROMPT_NOT_FOUND


async def test_refresh_waits_for_its_own_fetch(subject: Subject) -> None:
    """A refresh is not served by a fetch that began before it, and many of them share one."""
    subject.told.may.clear()
    early = asyncio.ensure_future(subject.get())
    await subject.told.asked.wait()
    late = [asyncio.ensure_future(subject.get(refresh=True)) for _ in range(10)]
    await asyncio.sleep(0)
    subject.told.may.set()
    await asyncio.gather(early, *late)

    assert len(subject.told.fetches) == 2
    assert subject.told.most_at_once == 1


async def test_asking_each_time_begins_anew(subject: Subject) -> None:
    """Where the store is asked with each call, no call is served what was read before it came."""
    ref = PromptRef(id="p", store="asked")
    subject.asked.may.clear()
    early = asyncio.ensure_future(subject.get(ref))
    await subject.asked.asked.wait()
    late = [asyncio.ensure_future(subject.get(ref)) for _ in range(10)]
    await asyncio.sleep(0)
    subject.asked.may.set()
    await asyncio.gather(early, *late)

    assert len(subject.asked.fetches) == 2
    assert subject.asked.most_at_once == 1


async def test_one_fetch(subject: Subject) -> None:
    """A thousand callers at once are served by one fetch."""
    subject.told.may.clear()
    calls = [asyncio.ensure_future(subject.get()) for _ in range(1000)]
    await subject.told.asked.wait()
    subject.told.may.set()

    assert {told(served) for served in await asyncio.gather(*calls)} == {("1", "miss", 0, False)}
    assert len(subject.told.fetches) == 1


async def test_first_caller_leaves(subject: Subject) -> None:
    """The caller that began a fetch does not end it for the others by leaving."""
    subject.told.may.clear()
    first = asyncio.ensure_future(subject.get())
    await subject.told.asked.wait()
    others = [asyncio.ensure_future(subject.get()) for _ in range(10)]
    await asyncio.sleep(0)
    first.cancel()
    subject.told.may.set()

    assert [told(served)[0] for served in await asyncio.gather(*others)] == ["1"] * 10
    assert first.cancelled()
    assert len(subject.told.fetches) == 1


async def test_failure_is_shared_and_not_kept(subject: Subject) -> None:
    """Callers that wait for a fetch that fails are all told, each with an error of its own."""
    subject.told.may.clear()
    subject.told.says = unavailable()
    calls = [asyncio.ensure_future(subject.get()) for _ in range(10)]
    await subject.told.asked.wait()
    subject.told.may.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)

    assert len({id(error) for error in errors}) == 10
    assert {getattr(error, "reason", None) for error in errors} == {Reason.STORE_UNAVAILABLE}
    assert len(subject.told.fetches) == 1


async def test_fault_of_ours(subject: Subject) -> None:
    """An exception that nobody foresaw reaches the caller where nothing is held."""
    subject.told.says = RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        await subject.get()


async def test_deadline(subject: Subject) -> None:
    """A store that takes longer than the caller has ends the call in time, and not the fetch."""
    subject.told.may.clear()
    with pytest.raises(ResolverError) as caught:
        await subject.get(within_s=0.01)
    subject.told.may.set()
    await subject.settle()

    assert caught.value.reason == Reason.DEADLINE
    assert caught.value.metadata == {"phase": "fetch", "attempts": "0"}
    assert told(await subject.get()) == ("1", "hit", 0, False)


async def test_keys_are_apart(subject: Subject) -> None:
    """Ids, selectors, stores and callers' keys each have copies of their own."""
    refs = [
        P,
        PromptRef(id="p", version="1"),
        PromptRef(id="p", environment="1"),
        PromptRef(id="p", store="asked"),
        PromptRef(id="p1"),
    ]
    for ref in refs:
        for caller_key in (None, "", "a", "b"):
            assert (await subject.get(ref, caller_key=caller_key)).cache == "miss"

    assert len(subject.told.fetches) == 16
    assert [key for _, key in subject.told.fetches[:4]] == [None, "", "a", "b"]


async def test_fetches_of_different_callers(subject: Subject) -> None:
    """What is fetched with one caller's key, or is absent for it, is nobody's without that key."""
    subject.told.may.clear()
    keys = (None, "a", "b", "a", None)
    waiting = [asyncio.create_task(subject.get(caller_key=key)) for key in keys]
    await subject.told.asked.wait()
    subject.told.may.set()
    await asyncio.gather(*waiting)
    assert [key for _, key in subject.told.fetches] == [None, "a", "b"]

    subject.told.says = absent("q")
    with pytest.raises(ResolverError):
        await subject.get(PromptRef(id="q"), caller_key="a")
    subject.told.says = ONE
    assert (await subject.get(PromptRef(id="q"), caller_key="b")).cache == "miss"
    assert (await subject.get(PromptRef(id="q"))).cache == "miss"
    with pytest.raises(ResolverError):
        await subject.get(PromptRef(id="q"), caller_key="a")


async def test_reason(subject: Subject) -> None:
    """A pinned version is told from the deployed one."""
    pinned = await subject.get(PromptRef(id="p", version="1"))

    assert (pinned.reason, (await subject.get()).reason) == ("pinned", "deployed")


async def test_zero_time_to_live(subject: Subject) -> None:
    """A store without a time to live is asked with every call, or confirms at once."""
    ref = PromptRef(id="p", store="asked")
    assert told(await subject.get(ref)) == ("1", "miss", 0, False)
    assert told(await subject.get(ref)) == ("1", "hit", 0, False)
    assert len(subject.asked.fetches) == 2

    subject.asked.confirmed = ONE
    subject.clock.now += 5
    assert told(await subject.get(ref)) == ("1", "hit", 0, False)
    assert len(subject.asked.fetches) == 2

    subject.asked.confirmed, subject.asked.says = None, TWO
    assert told(await subject.get(ref)) == ("2", "miss", 0, False)


async def test_zero_time_to_live_fails(subject: Subject) -> None:
    """Such a store that fails changes nothing either, and absence is not remembered for it."""
    ref = PromptRef(id="p", store="asked")
    await subject.get(ref)
    subject.asked.says = unavailable()
    subject.clock.now += 5
    assert told(await subject.get(ref)) == ("1", "stale", 5, True)

    subject.asked.says = absent()
    assert await subject.fails(ref) == Reason.PROMPT_NOT_FOUND
    subject.asked.says = TWO
    assert told(await subject.get(ref)) == ("2", "miss", 0, False)


async def test_bad_id_is_told(subject: Subject) -> None:
    """A call that the store refuses as malformed is refused, whatever is held."""
    await subject.get()
    subject.told.says = CallError(Reason.PROMPT_ID_INVALID, "prompt.id: expected an id")

    assert await subject.fails(refresh=True) == Reason.PROMPT_ID_INVALID


async def test_bounded_in_number() -> None:
    """Beyond the most entries there may be, the one goes that was not used for longest."""
    subject = make(CacheLimits(max_entries=3))
    for name in ("a", "b", "c", "a", "d"):
        await subject.get(PromptRef(id=name))

    results = {name: (await subject.get(PromptRef(id=name))).cache for name in ("a", "c", "d", "b")}
    assert results == {"a": "hit", "c": "hit", "d": "hit", "b": "miss"}


async def test_bounded_in_bytes() -> None:
    """Large templates push out others; one that is too large is served and not held."""
    subject = make(CacheLimits(max_bytes=100_000))
    subject.told.says = make_template("p", "1", size=5_000)
    for name in ("a", "b", "c"):
        await subject.get(PromptRef(id=name))
    subject.told.says = make_template("p", "1", size=50_000)

    assert (await subject.get(PromptRef(id="d"))).cache == "miss"
    assert (await subject.get(PromptRef(id="d"))).cache == "miss"
    assert (await subject.get(PromptRef(id="c"))).cache == "hit"
    assert (await subject.get(PromptRef(id="a"))).cache == "miss"


async def test_callers_have_a_part_of_a_full_memory() -> None:
    """However much the service's own prompts take, callers' keys have a quarter, and no more."""
    subject = make(CacheLimits(max_entries=8))
    for number in range(8):
        await subject.get(PromptRef(id=f"own-{number}"))

    for number in range(20):
        key = f"key-{number}"
        assert (await subject.get(caller_key=key)).cache == "miss"
        assert (await subject.get(caller_key=key)).cache == "hit"
    assert (await subject.get(caller_key="key-18")).cache == "hit"
    assert len(subject.cache.inventory.keys()) == 6
    assert subject.cache.inventory.entries == 8


async def test_callers_have_a_part_of_the_bytes() -> None:
    """A quarter is counted in bytes, too, so that few large ones push out no more than that."""
    subject = make(CacheLimits(max_bytes=16 * 12_048))
    subject.told.says = make_template("p", "1", size=1_000)
    for number in range(16):
        await subject.get(PromptRef(id=f"own-{number}"))

    subject.told.says = make_template("p", "1", size=2_000)
    for number in range(20):
        await subject.get(caller_key=f"key-{number}")
    assert (await subject.get(caller_key="key-19")).cache == "hit"
    assert len(subject.cache.inventory.keys()) >= 12


async def test_nonsense_pushes_out_nothing() -> None:
    """Ids that do not exist are remembered apart from what is held, in bounded number."""
    subject = make(CacheLimits(max_entries=3))
    await subject.get()
    for number in range(10):
        subject.told.says = absent(str(number))
        await subject.fails(PromptRef(id=str(number)))

    assert (await subject.get()).cache == "hit"
    asked = len(subject.told.fetches)
    await subject.fails(PromptRef(id="9"))
    await subject.fails(PromptRef(id="0"))
    assert len(subject.told.fetches) == asked + 1


async def test_counts(subject: Subject) -> None:
    """Fetches are counted by how they ended, what is held, and what stood in for a store."""
    await subject.get()
    subject.told.says = unavailable()
    await subject.get(refresh=True)

    assert (subject.fetches("ok"), subject.fetches("store_unavailable")) == (1, 1)
    sample = subject.metrics.registry.get_sample_value
    assert sample("prompt_resolver_template_cache_entries") == 1
    assert (sample("prompt_resolver_template_cache_bytes") or 0) > 0
    assert sample("prompt_resolver_template_stale_served_total", {"store": "told"}) == 1


async def test_last_success(subject: Subject) -> None:
    """The time of a store's last template stays where it is when it fails, and has been none."""
    name = "prompt_resolver_template_last_success_timestamp_seconds"
    sample = subject.metrics.registry.get_sample_value
    before = time.time()
    assert sample(name, {"store": "told"}) is None
    await subject.get()
    succeeded_at = sample(name, {"store": "told"})
    subject.told.says = unavailable()
    await subject.get(refresh=True)

    assert before <= (succeeded_at or 0) <= time.time()
    assert sample(name, {"store": "told"}) == succeeded_at
    assert sample(name, {"store": "asked"}) is None


async def test_evictions() -> None:
    """Templates that had to give way to others are counted, and what is held anew is not."""
    subject = make(CacheLimits(max_entries=2))
    for prompt_id in ("1", "2", "2", "3", "4"):
        await subject.get(PromptRef(id=prompt_id), refresh=True)

    sample = subject.metrics.registry.get_sample_value
    assert sample("prompt_resolver_template_cache_evictions_total") == 2
    assert sample("prompt_resolver_template_cache_entries") == 2


async def test_owns_its_stores(subject: Subject) -> None:
    """Closing the cache ends its fetches and closes the stores."""
    subject.told.may.clear()
    call = asyncio.ensure_future(subject.get())
    await subject.told.asked.wait()
    await subject.cache.aclose()

    assert subject.told.closed
    assert subject.told.running == 0
    assert (await asyncio.gather(call, return_exceptions=True))[0] is not None


async def test_failures_that_go_on(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is asked with each call, and fails, is told of less often the longer it does."""
    ref = PromptRef(id="p", store="asked")
    await subject.get(ref)
    subject.asked.says = TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt")

    for _ in range(100):
        assert (await subject.get(ref)).stale

    told = [vars(each)["failures"] for each in caplog.records]
    assert told == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    "failure",
    [unavailable(), TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt")],
)
@pytest.mark.parametrize("answer", [ONE, absent()])
async def test_store_that_answers_again(
    subject: Subject,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    answer: Template | Exception,
) -> None:
    """A store that was told to fail is told to answer again, once, whatever it answers."""
    caplog.set_level(logging.INFO, ledger.__name__)
    refs = [PromptRef(id=name) for name in ("p", "q")]
    for ref in refs:
        await subject.get(ref)
    subject.told.says = failure
    subject.clock.now += 61
    await asyncio.gather(*[subject.get(ref) for ref in refs])
    await subject.settle()
    subject.told.says = answer
    for _ in range(3):
        subject.clock.now += 61
        await asyncio.gather(*[subject.get(ref) for ref in refs], return_exceptions=True)
        await subject.settle()

    told = [(each.levelname, each.message) for each in caplog.records]
    fails = ("WARNING", "a store fails, what is held is served")
    assert told == [fails, fails, ("INFO", "a store answers again")]
    line = vars(caplog.records[-1])
    assert line["store"] == "told"
    assert line["prompt"] in {"p", "q"}


async def test_store_that_answers_for_another_prompt(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that fails for one prompt does not answer again as it answers for others."""
    caplog.set_level(logging.INFO, ledger.__name__)
    other = PromptRef(id="q")
    await subject.get()
    await subject.get(other)
    subject.clock.now += 61
    subject.told.says = TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt")
    await subject.get()
    await subject.settle()
    subject.told.says = ONE
    await subject.get(other)
    await subject.settle()

    assert [each.message for each in caplog.records] == ["a store fails, what is held is served"]
