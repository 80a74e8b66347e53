"""A replica leaves the others without delay, whatever it was doing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import cast

from prometheus_client import CollectorRegistry

from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.entries import Key
from prompt_resolver_server.templates.cache.shared.server import RedisServer
from prompt_resolver_server.templates.cache.shared.shared_cache import SharedCache, Sharing


class DeafServer:
    """A server whose client does not notice the first time that it is cancelled."""

    def __init__(self) -> None:
        self.listening = asyncio.Event()
        self.closed = False

    async def subscribe(self, channel: str) -> AsyncGenerator[bytes | None, None]:
        yield None
        self.listening.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


class NoReplica:
    """A replica that holds nothing."""

    def look(self, key: Key, *, ask_store: bool = False) -> None:
        raise AssertionError

    def forget(self, key: Key) -> None:
        raise AssertionError

    def doubt(self) -> None:
        pass


async def test_client_that_misses_its_cancellation() -> None:
    """What swallows a cancellation, as Python 3.11's `wait_for` may, is cancelled once more."""
    server = DeafServer()
    cache = SharedCache(
        cast("RedisServer", server),
        Sharing(prefix="test:", keep_s=60, accounts={}),
        metrics=Metrics(CollectorRegistry(), version="test"),
    )
    cache.join(NoReplica())
    await server.listening.wait()
    async with asyncio.timeout(20):
        await cache.aclose()

    assert server.closed
