"""A store that is down is asked seldom, and its return is noticed soon."""

import asyncio
import random

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import (
    CallError,
    Reason,
    ResolverError,
    StoreError,
    TemplateError,
)
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.outage import AT_ONCE, Outage
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

TTL_S = 60.0
PROMPTS = 40


def failure(problem: str, status: str = "", retry_after_s: float | None = None) -> StoreError:
    return StoreError(
        Reason.STORE_UNAVAILABLE,
        "store 'told' does not answer",
        metadata={"problem": problem, **({"http_status": status} if status else {})},
        retry_after_s=retry_after_s,
    )


class Scene:
    """A cache of many prompts of one store, and a clock that is moved in small steps."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.age_s = 0.0
        self.store = ToldStore(make_template("p", "1"))
        self.cache = TemplateCache(
            sources={"told": Source(self.store, TTL_S)},
            default_store="told",
            metrics=Metrics(CollectorRegistry(), version="test"),
            clock=self.clock,
            draw=random.Random(7).random,
        )

    async def get(self, number: int, *, caller_key: str | None = None) -> str:
        """Return how a prompt was served, or why not."""
        deadline = asyncio.get_running_loop().time() + 10
        ref = PromptRef(id=f"p{number}")
        try:
            served = await self.cache.get(
                ref, refresh=False, deadline=deadline, caller_key=caller_key
            )
        except ResolverError as error:
            return str(error.reason)
        self.age_s = served.age_s
        return f"{served.cache}{' stale' if served.stale else ''}"

    async def round(self) -> set[str]:
        """Ask for every prompt, and let what that set off end."""
        results = {await self.get(number) for number in range(PROMPTS)}
        await self.settle()
        return results

    async def settle(self) -> None:
        """Let the fetches in the background end."""
        flights = list(self.cache._flights._running.values())
        await asyncio.gather(*[flight.task for flight in flights])


async def test_outage_of_hours() -> None:
    """Six hours down: all is served, little is asked, and 2 s after the return all is fresh."""
    scene = Scene()
    confirmed_at = scene.clock.now
    await scene.round()
    scene.store.says = failure("unreachable")
    scene.clock.now += TTL_S
    await scene.round()
    began, asked = scene.clock.now, len(scene.store.fetches)
    for _ in range(6 * 3600 // 2):
        scene.clock.now += 2
        assert await scene.round() == {"stale stale"}
        assert scene.age_s == scene.clock.now - confirmed_at
    down_s = scene.clock.now - began
    # Each prompt has its first steps, and then one within half a minute at the most.
    most = down_s / 1.5 + PROMPTS * (9 + down_s / 30)
    assert len(scene.store.fetches) - asked <= most

    scene.store.says = make_template("p", "2")
    waited_s = 0.0
    while await scene.round() != {"hit"}:
        scene.clock.now += 0.05
        waited_s += 0.05
    assert waited_s <= 2


async def test_one_prompt_alone_notices() -> None:
    """A store whose prompts wait for a minute is probed by whichever is asked for."""
    scene = Scene()
    await scene.round()
    scene.store.says = failure("timeout")
    scene.clock.now += TTL_S
    for _ in range(200):
        await scene.round()
        scene.clock.now += 1.6

    fetched = len(scene.store.fetches)
    for _ in range(10):
        await scene.get(3)
        await scene.round()
        scene.clock.now += 1.6
    assert len(scene.store.fetches) - fetched >= 10


async def test_prompts_that_nobody_holds() -> None:
    """While the store is down, an unknown prompt costs one fetch for each step, and no time."""
    scene = Scene()
    scene.store.says = failure("status", "503")
    assert await scene.round() == {"STORE_UNAVAILABLE"}
    for _ in range(100):
        assert await scene.round() == {"STORE_UNAVAILABLE"}
    assert len(scene.store.fetches) == PROMPTS

    scene.store.says = make_template("p", "1")
    scene.clock.now += 1.5
    await scene.round()
    assert await scene.round() == {"hit"}


async def test_answer_ends_an_outage() -> None:
    """A store that answers at all is there: for whichever prompt, and be it that it has none."""
    scene = Scene()
    scene.store.says = failure("unreachable")
    await scene.round()
    assert scene.cache.is_down("told")

    scene.store.says = absent()
    scene.clock.now += 1.5
    await scene.get(0)
    assert not scene.cache.is_down("told")


@pytest.mark.parametrize(
    ("error", "is_down"),
    [
        *((failure(problem), True) for problem in ("timeout", "unreachable", "tls", "proxy")),
        *((failure("status", status), True) for status in ("429", "500", "503")),
        (unavailable(), True),
        (failure("status", "418"), False),
        (failure("garbage"), False),
        (failure("too_large"), False),
        (failure("unreadable"), False),
        (TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt"), False),
        (RuntimeError("a fault of ours"), False),
    ],
)
def test_failures_are_told_apart(error: Exception, is_down: bool) -> None:
    """A store that is down is told from one that fails for one prompt, which is asked on."""
    outage, retry = Outage(no_jitter), AT_ONCE
    for _ in range(12):
        retry = outage.failed(error, retry, 0.0, own_key=True)

    assert outage.is_down == is_down
    assert (retry.soonest_at, retry.latest_at) == (1.5, 60.0 if is_down else 1.5)


def test_caller_that_asks_too_often() -> None:
    """That one caller's key is refused for a while is no outage, and that nobody answers is."""
    outage = Outage(no_jitter)
    outage.failed(failure("status", "429"), AT_ONCE, 0.0, own_key=False)
    assert not outage.is_down
    outage.failed(failure("unreachable"), AT_ONCE, 0.0, own_key=False)
    assert outage.is_down


def test_store_that_asks_to_be_left_alone() -> None:
    """A store that says how long to wait is not asked for any other key that failed, either."""
    outage = Outage(no_jitter)
    other = outage.failed(failure("unreachable"), AT_ONCE, 0.0, own_key=True)
    outage.failed(failure("status", "503", retry_after_s=20.0), AT_ONCE, 1.0, own_key=True)

    assert not outage.admits(other, 20.9)
    assert outage.admits(other, 21.0)


@pytest.mark.parametrize(
    "answer", [failure("garbage"), forbidden(), CallError(Reason.PROMPT_ID_INVALID, "a bad id")]
)
async def test_answers_that_decide_nothing(answer: Exception) -> None:
    """What fails for itself alone keeps no other prompt waiting for a store that is back."""
    scene = Scene()
    await scene.round()
    scene.store.says = failure("unreachable")
    for _ in range(200):
        scene.clock.now += 1.6
        await scene.round()
    scene.store.says = answer
    waited_s = 0.0
    while scene.cache.is_down("told"):
        for caller in ("one", "two"):
            scene.store.says = answer
            await scene.get(0, caller_key=f"key-of-{caller}")
            scene.store.says = make_template("p", "2")
            await scene.get(7)
            await scene.settle()
            scene.clock.now += 0.2
            waited_s += 0.2
        assert waited_s <= 2


def test_steps_are_spread() -> None:
    """No two prompts that failed together are asked for together for ever."""
    outage = Outage(random.Random(1).random)
    retries = []
    for _ in range(100):
        retry = AT_ONCE
        for _ in range(12):
            retry = outage.failed(failure("timeout"), retry, 0.0, own_key=True)
        retries.append(retry.latest_at)

    assert len(set(retries)) == 100
    assert 30 <= min(retries) < max(retries) <= 60
