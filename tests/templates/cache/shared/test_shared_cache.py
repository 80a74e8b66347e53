"""A replica tells the others what they must know, and leaves them without delay."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.entries import Held, Key
from prompt_resolver_server.templates.cache.shared import outbox
from prompt_resolver_server.templates.cache.shared.news import News, encode_news
from prompt_resolver_server.templates.cache.shared.seal import Sealer
from prompt_resolver_server.templates.cache.shared.server import RedisServer
from prompt_resolver_server.templates.cache.shared.shared_cache import SharedCache, Sharing
from prompt_resolver_server.templates.store import Account
from tests.support.stores import make_template


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


class RecordingServer(TellingServer):
    """A server that notes whether something was removed or published, and fails at first."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.done: list[str] = []

    async def remove(self, name: str, **_: object) -> bool:
        return self._do("remove")

    async def publish(self, channel: str, news: bytes) -> bool:
        return self._do("publish")

    async def write(self, name: str, value: bytes, **_: object) -> bool:
        return self._do("write")

    def trust(self, tls: ssl.SSLContext) -> None:
        pass

    def _do(self, what: str) -> bool:
        if self.failures:
            self.failures -= 1
            return False
        self.done.append(what)
        return True


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


@asynccontextmanager
async def sharing(server: RecordingServer, metrics: Metrics) -> AsyncIterator[SharedCache]:
    """Share two stores until the context ends, once there is nothing more to tell."""
    accounts = {name: partial(Account, f"https://{name}.invalid", "key") for name in ("a", "b")}
    cache = SharedCache(
        cast("RedisServer", server),
        Sharing(prefix="test:", keep_s=60, accounts=accounts),
        metrics=metrics,
    )
    yield cache
    cache.join(NoReplica())
    async with asyncio.timeout(20):
        while cache._outbox._waiting:
            await asyncio.to_thread(int)
        await cache.aclose()


async def test_store_that_is_lost() -> None:
    """Where a store is lost, the others hear nothing more of it, and of another store all."""
    server = RecordingServer()
    async with sharing(server, Metrics(CollectorRegistry(), version="test")) as cache:
        for store in ("a", "b"):
            cache.gone(Key(store, "p", None, None, b""))
            cache.forgotten(Key(store, "p", None, None, b""))
        cache.adopt(cache._sharing.accounts, lost={"a"}, tls=ssl.create_default_context())

    assert server.done == ["remove", "publish"]


async def test_server_that_fails_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken back gets through in the end, and before what has come since."""
    monkeypatch.setattr(outbox, "_AGAIN_S", 0.01)
    server, key = RecordingServer(failures=3), Key("a", "p", None, None, b"")
    async with sharing(server, Metrics(CollectorRegistry(), version="test")) as cache:
        cache.confirmed(key, Held(make_template("p", "1"), time.monotonic()))
        cache.gone(key)
        cache.forgotten(key)
        cache.confirmed(key, Held(make_template("p", "2"), time.monotonic()))

    assert server.done == ["remove", "publish", "write"]


async def test_server_that_fails_too_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits is bounded: what only spares requests goes first, and the log tells of more."""
    monkeypatch.setattr(outbox, "_MAX_WAITING", 4)
    server, metrics = RecordingServer(), Metrics(CollectorRegistry(), version="test")
    async with sharing(server, metrics) as cache:
        for number in range(3):
            cache.gone(Key("a", f"p{number}", None, None, b""))
        held = Held(make_template("p", "1"), time.monotonic())
        cache.confirmed(Key("a", "q", None, None, b""), held)
        for number in range(3, 6):
            cache.gone(Key("a", f"p{number}", None, None, b""))
        skipped = {
            operation: metrics.registry.get_sample_value(
                "prompt_resolver_shared_cache_requests_total",
                {"operation": operation, "outcome": "skipped"},
            )
            for operation in ("write", "remove")
        }

    assert server.done == ["remove"] * 4
    assert skipped == {"write": 1, "remove": 2}
    [line] = caplog.records
    assert (line.levelname, vars(line)["prompt"]) == ("ERROR", "p0")
