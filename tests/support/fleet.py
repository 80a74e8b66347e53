"""Several replicas of one service, which share a Redis server and a store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.humanloop import KEY, HumanloopApi
from tests.support.service import RunningService, running_service

FALLBACK, HIT, MISS = (
    pb.CACHE_RESULT_FALLBACK,
    pb.CACHE_RESULT_HIT,
    pb.CACHE_RESULT_MISS,
)


@dataclass
class Fleet:
    """Starts replicas. `redis` are the settings of the shared cache, `ttl_s` the store's."""

    folder: Path
    api: HumanloopApi
    redis: str
    ttl_s: float
    stack: AsyncExitStack
    server: str = "{}"
    replicas: list[RunningService] = field(default_factory=list)

    async def grow(
        self, *, key: str = KEY, redis: str | None = None, joins: bool = True
    ) -> RunningService:
        """Start one more replica, asking the store with this key, and wait until it has joined."""
        folder = self.folder / f"replica-{len(self.replicas)}"
        folder.mkdir()
        store = f"type: humanloop, base_url: '{self.api.url}', api_key: {key}"
        config = f"""
server: {self.server}
stores: {{hl: {{{store}, ttl_s: {self.ttl_s}, timeout_s: 2}}}}
cache: {{negative_ttl_s: 0, redis: {{{redis or self.redis}}}}}
"""
        replica = await self.stack.enter_async_context(running_service(folder, config))
        if joins:
            await subscribed(replica)
        self.replicas.append(replica)
        return replica

    def edit(self, text: str) -> None:
        """Have the store say something else from now on."""
        self.api.put("desk", prompt_id="pr_1", version=f"prv_{text}", template=text)


async def look(replica: RunningService) -> tuple[str, int, bool]:
    """Return what a replica serves, how the cache took part, and whether it is stale."""
    served = await replica.client.resolve("pr_1")
    return served.messages[0].content[0].text, served.prompt.cache, served.prompt.stale


async def until_served(replica: RunningService, text: str) -> None:
    """Wait until a replica serves a text."""
    async with asyncio.timeout(20):
        while (await look(replica))[0] != text:
            pass


async def subscribed(replica: RunningService, times: int = 1) -> None:
    """Wait until a replica has begun so many times to hear from the others."""
    sample = 'prompt_resolver_shared_cache_requests_total{operation="subscribe",outcome="ok"}'
    async with asyncio.timeout(20):
        while await replica.metric(sample) < times:
            pass


async def asked(replica: RunningService, operation: str, outcome: str) -> float:
    """Return how often something was asked of the shared cache, and ended so."""
    labels = f'{{operation="{operation}",outcome="{outcome}"}}'
    return await replica.metric(f"prompt_resolver_shared_cache_requests_total{labels}")


@asynccontextmanager
async def running_fleet(
    folder: Path,
    api: HumanloopApi,
    redis: str,
    *,
    size: int = 2,
    ttl_s: float = 3600,
    server: str = "{}",
) -> AsyncIterator[Fleet]:
    """Run so many replicas over a store with a prompt in it that says "one"."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(folder, api, redis, ttl_s, stack, server)
        fleet.edit("one")
        for _ in range(size):
            await fleet.grow()
        yield fleet
