"""A replica leaves the others without delay, whatever it was doing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.entries import Key
from prompt_resolver_server.templates.cache.shared.news import News, encode_news
from prompt_resolver_server.templates.cache.shared.seal import Sealer
from prompt_resolver_server.templates.cache.shared.server import RedisServer
from prompt_resolver_server.templates.cache.shared.shared_cache import SharedCache, Sharing
from prompt_resolver_server.templates.store import Account


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


class TellingServer:
    """A server of which each message is taken by the time that the next one is told."""

    def __init__(self, *messages: bytes | None) -> None:
        self.messages = messages
        self.told = asyncio.Event()

    async def subscribe(self, channel: str) -> AsyncGenerator[bytes | None, None]:
        for message in self.messages:
            yield message
        self.told.set()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


class NoReplica:
    """A replica that holds nothing."""

    def look(self, key: Key, *, ask_store: bool = False) -> None:
        raise AssertionError

    def forget(self, key: Key) -> None:
        raise AssertionError

    def doubt(self) -> None:
        pass


class DoubtingReplica(NoReplica):
    """A replica that counts its doubts."""

    doubts = 0

    def doubt(self) -> None:
        self.doubts += 1


def fail() -> Account | None:
    raise ValueError("a key that cannot be read")


async def test_message_that_cannot_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in taking a message is told, and takes none of those along that follow."""
    account = Account("https://api.invalid", "key-of-fake")
    news = News.of(Key("broken", "p", None, None, b""), "gone", sender="another")
    message = Sealer.of(account, "broken", "60").seal("any", encode_news(news))
    server, replica = TellingServer(None, message, None), DoubtingReplica()
    cache = SharedCache(
        cast("RedisServer", server),
        Sharing(prefix="test:", keep_s=60, accounts={"broken": fail}),
        metrics=Metrics(CollectorRegistry(), version="test"),
    )

    cache.join(replica)
    async with asyncio.timeout(20):
        await server.told.wait()
        await cache.aclose()

    assert replica.doubts == 2
    assert [each.message for each in caplog.records] == ["what a replica tells cannot be taken"]


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
