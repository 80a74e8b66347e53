"""Whatever happens in whatever order, the cache serves only what it may, and tells the truth."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import Reason, ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.source import Source
from tests.support.stores import (
    Clock,
    ToldStore,
    absent,
    forbidden,
    make_template,
    unavailable,
)

TTL_S = 60.0
NEGATIVE_TTL_S = 5.0
LONGEST_RETRY_S = 60.0
IDS = st.sampled_from(["a", "b"])
_T = TypeVar("_T")


class CacheHistory(RuleBasedStateMachine):
    """Drives the cache against a record of what its store said, and when.

    The store always says the same of every id. `confirmed` has, by id, the version that it said
    last and when it was asked for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.version = 1
        self.store = ToldStore(make_template("p", "1"))
        self.cache = TemplateCache(
            sources={"told": Source(self.store, TTL_S)},
            default_store="told",
            metrics=Metrics(CollectorRegistry(), version="test"),
            limits=CacheLimits(negative_ttl_s=NEGATIVE_TTL_S),
            clock=self.clock,
            draw=lambda: self.drawn,
        )
        self.drawn = 0.0
        self.confirmed: dict[str, tuple[str, float]] = {}
        self.failed: set[str] = set()
        self.absent_at: dict[str, float] = {}
        self.down_at: dict[str, float] = {}

    def teardown(self) -> None:
        self.loop.run_until_complete(self.cache.aclose())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(work)

    # What the world does.

    @rule()
    def publish(self) -> None:
        """Somebody deploys another version."""
        self.version += 1
        self.store.says = make_template("p", str(self.version))

    @rule(error=st.sampled_from(["down", "absent", "forbidden"]))
    def break_store(self, error: str) -> None:
        """The store goes down, loses the prompts, or refuses the key."""
        self.store.says = {"down": unavailable, "absent": absent, "forbidden": forbidden}[error]()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 6.0, 59.0, 61.0, 100_000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @rule(drawn=st.sampled_from([0.0, 0.5, 1.0]))
    def draw(self, drawn: float) -> None:
        """Chance has it that refreshes and retries come early."""
        self.drawn = drawn

    # What callers do.

    @rule(prompt_id=IDS, refresh=st.booleans())
    def get(self, prompt_id: str, refresh: bool) -> None:
        """A caller asks; whatever it set off in the background ends."""
        asked_before = len(self.store.fetches)
        served = self.run(self._get(prompt_id, refresh=refresh))
        self.run(self._settle())
        fetched = len(self.store.fetches) > asked_before
        # What a fetch in the background learned was not yet known when the call was answered.
        in_background = (
            not refresh and not isinstance(served, Reason) and served.cache in ("stale", "hit")
        )
        if not in_background and fetched:
            self._learn(prompt_id)
        self._check(prompt_id, served, refresh=refresh, fetched=fetched and not in_background)
        if in_background and fetched:
            self._learn(prompt_id)

    @rule(prompt_id=IDS, count=st.integers(2, 5))
    def get_at_once(self, prompt_id: str, count: int) -> None:
        """Several callers ask at once, and the first one leaves."""
        asked_before = len(self.store.fetches)

        async def ask() -> list[ServedTemplate | Reason | BaseException]:
            calls = [asyncio.ensure_future(self._get(prompt_id)) for _ in range(count)]
            await asyncio.sleep(0)
            calls[0].cancel()
            return (await asyncio.gather(*calls, return_exceptions=True))[1:]

        outcomes = self.run(ask())
        self.run(self._settle())
        assert len({type(outcome) for outcome in outcomes}) == 1
        assert len(self.store.fetches) - asked_before <= 1
        if len(self.store.fetches) > asked_before:
            self._learn(prompt_id)

    @precondition(lambda self: not isinstance(self.store.says, Exception))
    @rule(prompt_id=IDS)
    def becomes_current(self, prompt_id: str) -> None:
        """A store that answers has its word with everyone, one time to live later at the most."""
        self.clock.now += TTL_S + 1
        self.get(prompt_id, refresh=False)
        served = self.run(self._get(prompt_id))

        assert isinstance(served, ServedTemplate)
        assert served.template.version == str(self.version)
        assert served.cache == "hit"

    @invariant()
    def asks_one_at_a_time(self) -> None:
        """No two fetches for one key run together; here the keys are asked for one by one."""
        assert self.store.most_at_once <= 1

    async def _get(self, prompt_id: str, *, refresh: bool = False) -> ServedTemplate | Reason:
        deadline = self.loop.time() + 10
        try:
            return await self.cache.get(PromptRef(id=prompt_id), refresh=refresh, deadline=deadline)
        except ResolverError as error:
            return error.reason

    async def _settle(self) -> None:
        """Let fetches in the background end."""
        await asyncio.gather(*[flight.task for flight in self.cache._flights._running.values()])

    def _learn(self, prompt_id: str) -> None:
        """Note what the store just said."""
        says = self.store.says
        if not isinstance(says, Exception):
            self.confirmed[prompt_id] = (says.version, self.clock.now)
            self.failed.discard(prompt_id)
            self.absent_at.pop(prompt_id, None)
            self.down_at.pop(prompt_id, None)
            return
        assert isinstance(says, ResolverError)
        if says.reason in (Reason.PROMPT_NOT_FOUND, Reason.STORE_AUTH):
            self.confirmed.pop(prompt_id, None)
            self.failed.discard(prompt_id)
            if says.reason is Reason.PROMPT_NOT_FOUND:
                self.absent_at[prompt_id] = self.clock.now
        elif prompt_id in self.confirmed:
            self.failed.add(prompt_id)
        else:
            self.down_at[prompt_id] = self.clock.now

    def _check(
        self, prompt_id: str, served: ServedTemplate | Reason, *, refresh: bool, fetched: bool
    ) -> None:
        if isinstance(served, Reason):
            assert prompt_id not in self.confirmed, "an error, although something is held"
            if not fetched and served is Reason.STORE_UNAVAILABLE:
                assert self.clock.now - self.down_at[prompt_id] < LONGEST_RETRY_S
            elif not fetched:
                assert served is Reason.PROMPT_NOT_FOUND
                assert self.clock.now - self.absent_at[prompt_id] < NEGATIVE_TTL_S
            return
        version, at = self.confirmed[prompt_id]
        age_s = self.clock.now - at
        assert served.template.version == version, "not what the store said last"
        assert served.age_s == age_s
        assert served.stale == (served.cache == "stale" and prompt_id in self.failed)
        if refresh:
            assert fetched
            assert served.cache in ("bypass", "stale")
        elif served.cache == "hit":
            assert age_s < TTL_S
        elif served.cache == "miss":
            assert fetched
            assert age_s == 0
        else:
            assert age_s >= TTL_S


TestCacheHistory = CacheHistory.TestCase
TestCacheHistory.settings = settings(max_examples=60, stateful_step_count=40)
