"""A cache over one remote store that keeps copies on disk, as one process after another does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.disk import DiskCopies
from prompt_resolver_server.templates.cache.envelope import digest_of
from prompt_resolver_server.templates.cache.ledger import CacheLimits
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.cache.state import StateDir
from tests.support.stores import Clock, ToldStore, make_template, no_jitter

TTL_S = 60.0


@dataclass
class World:
    """What outlives a process: the folder, the store, and the time by the wall."""

    folder: Path
    store: ToldStore = field(default_factory=lambda: ToldStore(make_template("p", "1")))
    wall: Clock = field(default_factory=Clock)
    max_entries: int = 100
    max_bytes: int = 16 * 1024 * 1024

    @property
    def files(self) -> list[Path]:
        """The files of the copies."""
        return sorted(self.folder.joinpath("templates").glob("[!.]*"))

    @asynccontextmanager
    async def process(
        self,
        store_name: str = "told",
        *,
        place: str = "",
        state: StateDir | None = None,
        within_s: float = 10,
        memory_entries: int | None = None,
        ttl_s: float = TTL_S,
    ) -> AsyncIterator["Process"]:
        """Run one process, whose store is at a place; what it has to write is written at its end.

        Its memory has room for as many as its disk, unless told otherwise.
        """
        state, clock = state or StateDir(self.folder), Clock()
        metrics = Metrics(CollectorRegistry(), version="test")
        local = ToldStore(make_template("local", "1"))
        copies = DiskCopies(
            state,
            places={store_name: digest_of(place)},
            max_entries=self.max_entries,
            max_bytes=self.max_bytes,
            metrics=metrics,
            clock=clock,
            wall_clock=self.wall,
        )
        cache = TemplateCache(
            sources={
                store_name: Source(self.store, ttl_s, place=place),
                "local": Source(local, TTL_S, is_remote=False),
            },
            default_store=store_name,
            metrics=metrics,
            clock=clock,
            draw=no_jitter,
            salt=state.salt,
            copies=copies,
            limits=CacheLimits(max_entries=memory_entries or 10_000),
        )
        await copies.start(
            lambda copy, age_s: cache.restore(copy.key, copy.template, age_s=age_s),
            within_s=within_s,
        )
        try:
            yield Process(self, cache, copies, clock, metrics)
        finally:
            await copies.aclose()
            # What the thread has counted is told by the event loop.
            await asyncio.sleep(0)
            await cache.aclose()


@dataclass
class Process:
    """A process that serves."""

    world: World
    cache: TemplateCache
    copies: DiskCopies
    clock: Clock
    metrics: Metrics

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.world.wall.now += seconds

    async def get(
        self,
        prompt_id: str = "p",
        *,
        store: str | None = None,
        version: str | None = None,
        caller_key: str | None = None,
        refresh: bool = False,
    ) -> ServedTemplate:
        return await self.cache.get(
            PromptRef(id=prompt_id, store=store, version=version),
            refresh=refresh,
            deadline=asyncio.get_running_loop().time() + 10,
            caller_key=caller_key,
        )

    async def tell(
        self, prompt_id: str = "p", *, caller_key: str | None = None
    ) -> tuple[str, str, float, bool]:
        """Return what is served, how, how old it is and whether it is stale; or why it is not."""
        try:
            served = await self.get(prompt_id, caller_key=caller_key)
        except ResolverError as error:
            return str(error.reason), "", 0.0, False
        return served.template.version, served.cache, served.age_s, served.stale

    async def settle(self) -> None:
        """Let the fetches in the background end."""
        flights = list(self.cache._flights._running.values())
        await asyncio.gather(*[flight.task for flight in flights])

    async def until_written(self, count: int) -> None:
        """Wait until the disk has taken so many copies."""
        async with asyncio.timeout(20):
            while self.counted("written") < count:
                # The thread tells nobody but the metrics.
                await asyncio.to_thread(int)

    def counted(self, outcome: str) -> float:
        name = "prompt_resolver_state_entries_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0
