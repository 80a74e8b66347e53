"""What is shared is the newest version, and all are told when it may be another one."""

import ssl
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.shared.seal import SEAL_BYTES
from prompt_resolver_server.templates.cache.shared.server import RedisAddress, RedisServer
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.foreign

ONE, TWO = b"1" * SEAL_BYTES + b"one", b"2" * SEAL_BYTES + b"two"
LEFT_S = 60.0


@pytest.fixture
async def server(redis: RedisProcess) -> AsyncIterator[RedisServer]:
    address = RedisAddress(url=redis.url, find_password=None, tls=ssl.create_default_context())
    metrics = Metrics(CollectorRegistry(), version="test")
    server = RedisServer(address, timeout_s=5, metrics=metrics)
    yield server
    await server.aclose()


async def write(server: RedisServer, value: bytes, left_s: float) -> None:
    """Share an answer that is to be kept for so long."""
    await server.write(
        "name", value, left_s=lambda: left_s, claim="claim", channel="news", news=b"!"
    )


@pytest.mark.parametrize(
    ("value", "older_s", "kept", "news"),
    [
        pytest.param(TWO, -1.0, TWO, 2, id="newer"),
        pytest.param(TWO, 0.05, TWO, 2, id="another of the same moment"),
        pytest.param(TWO, 1.0, ONE, 1, id="older"),
        pytest.param(ONE, -1.0, ONE, 1, id="the same once more"),
    ],
)
async def test_second_answer(
    redis: RedisProcess, server: RedisServer, value: bytes, older_s: float, kept: bytes, news: int
) -> None:
    """The newer answer of a store is kept, and all hear of another one, unless it is old."""
    listener = redis.client.pubsub()
    await listener.subscribe("news")
    for each, left_s in ((ONE, LEFT_S), (value, LEFT_S - older_s)):
        await write(server, each, left_s)
    heard = 0
    while message := await listener.get_message(timeout=0.5):
        heard += message["type"] == "message"
    await listener.aclose()  # type: ignore[no-untyped-call]
    found = await server.read("name")

    assert found is not None
    assert found[0] == kept
    assert heard == news


async def test_the_same_answer_of_the_same_moment(server: RedisServer) -> None:
    """What is shared gets no older by an answer that came a moment before."""
    for left_s in (LEFT_S, LEFT_S - 0.05):
        await write(server, ONE, left_s)
    found = await server.read("name")

    assert found is not None
    assert found[1] > 1000 * (LEFT_S - 0.05)


@pytest.mark.parametrize(("confirmed_s", "left"), [(-1.0, False), (1.0, True)])
async def test_removal_that_is_late(server: RedisServer, confirmed_s: float, left: bool) -> None:
    """What is removed is what was there then: what a store has confirmed since is left."""
    await write(server, ONE, LEFT_S + confirmed_s)

    assert await server.remove("name", most_ms=int(1000 * LEFT_S), channel="news", news=b"!")
    assert (await server.read("name") is not None) is left


async def test_news_that_may_not_be_published(redis: RedisProcess) -> None:
    """What the server will never let us do is done with, and what it refuses for now is not."""
    told = ("ACL", "SETUSER", "mute", "on", ">right", "~*", "+@all", "-publish")
    await redis.client.execute_command(*told)  # type: ignore[no-untyped-call]
    url, metrics = redis.url.replace("//", "//mute@"), Metrics(CollectorRegistry(), version="test")
    address = RedisAddress(url=url, find_password=lambda: "right", tls=ssl.create_default_context())
    server = RedisServer(address, timeout_s=5, metrics=metrics)
    try:
        assert await server.publish("news", b"!")
        assert await server.write(
            "name", ONE, left_s=lambda: LEFT_S, claim="claim", channel="news", news=b"!"
        )
        assert await server.remove("name", most_ms=100_000, channel="news", news=b"!")
        await redis.client.set("name", ONE)
        await redis.client.execute_command("replicaof", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        assert not await server.remove("name", most_ms=100_000, channel="news", news=b"!")
    finally:
        await server.aclose()
    for operation, count in (("publish", 1), ("write", 1), ("remove", 2)):
        assert count == metrics.registry.get_sample_value(
            "prompt_resolver_shared_cache_requests_total",
            {"operation": operation, "outcome": "refused"},
        )
