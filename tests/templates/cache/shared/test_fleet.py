"""Replicas that share a Redis server are as fresh as each other, and as reliable as each alone."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import admin_pb2, admin_pb2_grpc
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure
from tests.support.fleet import (
    FALLBACK,
    HIT,
    MISS,
    Fleet,
    asked,
    look,
    running_fleet,
    subscribed,
    until_served,
)
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.ports import find_port
from tests.support.raw import open_channel
from tests.support.redis import RedisProcess, need_redis, running_redis
from tests.support.service import RunningService
from tests.support.upstream import Exchange

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub

pytestmark = pytest.mark.foreign

TIMEOUT_S = 0.25


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        yield api


@pytest.fixture
async def fleet(tmp_path: Path, redis: RedisProcess, api: HumanloopApi) -> AsyncIterator[Fleet]:
    """Two replicas whose store is asked once an hour."""
    async with running_fleet(tmp_path, api, settings(redis)) as fleet:
        yield fleet


def settings(redis: RedisProcess, **more: object) -> str:
    told = {"url": redis.url, "timeout_s": TIMEOUT_S, **more}
    return ", ".join(f"{name}: '{value}'" for name, value in told.items())


async def failing(exchange: Exchange) -> None:
    await send(exchange, {"detail": "down"}, status="503 Service Unavailable")


async def entries(redis: RedisProcess) -> list[str]:
    """Return the names of what is shared."""
    names = await redis.client.keys("prompt-resolver:*")
    return [name for each in names if not (name := bytes(each).decode()).endswith(":asking")]  # type: ignore[arg-type]


async def until_shared(redis: RedisProcess, number: int = 1) -> list[str]:
    """Wait until so many templates are shared, and return their names."""
    async with asyncio.timeout(20):
        while len(names := await entries(redis)) != number:
            pass
    return names


async def until_told(replica: RunningService, times: int) -> None:
    """Wait until a replica has shared so many times what its store has confirmed."""
    async with asyncio.timeout(20):
        while await asked(replica, "write", "ok") < times:
            pass


async def until_older(redis: RedisProcess, *, ttl_s: float) -> None:
    """Wait until what is shared has outlived its time."""
    (name,) = await until_shared(redis)
    async with asyncio.timeout(20):
        while await redis.client.pttl(name) > 1000 * (7 * 86_400 - ttl_s):
            pass


async def test_one_asks_for_all(fleet: Fleet, api: HumanloopApi, redis: RedisProcess) -> None:
    """What one replica has fetched, the others serve without asking the store."""
    one, two = fleet.replicas
    assert await look(one) == ("one", MISS, False)
    await until_shared(redis)

    assert await look(two) == ("one", MISS, False)
    assert await look(two) == ("one", HIT, False)
    assert len(api.exchanges) == 1


async def test_one_fetch_for_each_time_to_live(
    tmp_path: Path, redis: RedisProcess, api: HumanloopApi
) -> None:
    """Five replicas under load cost the store what one of them would."""
    ttl_s, loop = 0.5, asyncio.get_running_loop()
    async with running_fleet(tmp_path, api, settings(redis), size=5, ttl_s=ttl_s) as fleet:
        began = loop.time()
        for replica in fleet.replicas:
            await look(replica)
            await until_shared(redis)
        while (elapsed_s := loop.time() - began) < 6 * ttl_s:
            await asyncio.gather(*(look(replica) for replica in fleet.replicas))

    # A refresh may come a tenth earlier.
    assert 2 <= len(api.exchanges) <= 1 + elapsed_s / (0.9 * ttl_s)


async def test_edit(fleet: Fleet, redis: RedisProcess) -> None:
    """An edit that one replica has seen is served by all, long before they would have asked."""
    three = await fleet.grow()
    for replica in fleet.replicas:
        await look(replica)
        await until_shared(redis)
    fleet.edit("two")

    seen = await fleet.replicas[0].client.resolve("pr_1", refresh=True)
    await until_served(fleet.replicas[1], "two")
    await until_served(three, "two")

    assert seen.messages[0].content[0].text == "two"
    assert len(fleet.api.exchanges) == 2


async def test_nobody_hears_itself(fleet: Fleet, redis: RedisProcess) -> None:
    """Edits are told once, however many replicas hear of them."""
    one, two = fleet.replicas
    listener = redis.client.pubsub()
    await listener.subscribe("prompt-resolver:news")
    for times, text in enumerate(("one", "two", "three"), 1):
        fleet.edit(text)
        await one.client.resolve("pr_1", refresh=True)
        await until_told(one, times)
        await until_served(two, text)
        await two.client.resolve("pr_1", refresh=True)
        # What came later than the next edit would be told once more, as nobody knew which is newer.
        await until_told(two, times)
    heard = 0
    while message := await listener.get_message(timeout=0.5):
        heard += message["type"] == "message"
    await listener.aclose()  # type: ignore[no-untyped-call]

    assert heard == 3


async def test_removed(fleet: Fleet, api: HumanloopApi, redis: RedisProcess) -> None:
    """A prompt that the store has removed is gone everywhere once one replica has been told."""
    one, two = fleet.replicas
    await look(one)
    await until_shared(redis)
    await look(two)
    stored = api.prompts.pop("pr_1")

    for replica in (one, two):
        async with asyncio.timeout(20):
            with pytest.raises(PromptResolverError) as caught:
                while True:
                    await replica.client.resolve("pr_1", refresh=replica is one)
        assert caught.value.reason == "PROMPT_NOT_FOUND"
    assert await entries(redis) == []
    api.prompts["pr_1"] = stored
    assert (await look(two))[0] == "one"


async def test_absent_for_one(fleet: Fleet, api: HumanloopApi, redis: RedisProcess) -> None:
    """What the store denies one replica, the others go on serving: they have asked themselves."""
    one, two = fleet.replicas
    await look(one)
    await until_shared(redis)
    await look(two)
    denied = await fleet.grow()
    answer = api.answer

    async def deny_once(exchange: Exchange) -> None:
        api.fail = None
        await send(exchange, {"detail": "no"}, status="404 Not Found")

    api.fail = deny_once
    with pytest.raises(PromptResolverError):
        await denied.client.resolve("pr_1", refresh=True)
    # The others have been told to ask, and the first that did shares it again.
    await until_shared(redis)

    assert answer == api.answer
    for replica in (one, two, denied):
        assert (await look(replica))[0] == "one"


async def test_operator_forgets_everywhere(
    tmp_path: Path, redis: RedisProcess, api: HumanloopApi
) -> None:
    """What one replica's operator has forgotten, every replica asks the store for anew.

    That holds for all versions where none is named, and on a replica that held none of them.
    """
    server = "{admin_grpc_address: '127.0.0.1:0'}"
    async with running_fleet(tmp_path, api, settings(redis), size=3, server=server) as fleet:
        one, two, operated = fleet.replicas
        for replica in (one, two):
            await look(replica)
            await replica.client.resolve("pr_1", version="prv_one")
        await until_shared(redis, 2)
        fleet.edit("two")
        asked_before = len(api.exchanges)

        async with open_channel(operated.admin_grpc_address) as channel:
            admin: PromptResolverAdminAsyncStub = admin_pb2_grpc.PromptResolverAdminStub(channel)
            request = admin_pb2.InvalidatePromptsRequest(prompts=[pb.PromptRef(id="pr_1")])
            answer = await admin.InvalidatePrompts(request)

        assert answer.dropped_count == 0
        for replica in (one, two):
            await until_served(replica, "two")
            pinned = await replica.client.resolve("pr_1", version="prv_one")
            assert pinned.prompt.age.ToTimedelta().total_seconds() < 60
        asked_for = [request.partition("?")[2] for request in api.requests[asked_before:]]
        assert "version_id=prv_one" in asked_for


async def test_taken_back_while_redis_fails(
    tmp_path: Path, redis: RedisProcess, api: HumanloopApi
) -> None:
    """What an operator takes back while Redis fails is gone everywhere once Redis is back."""
    server = "{admin_grpc_address: '127.0.0.1:0'}"
    async with running_fleet(tmp_path, api, settings(redis), server=server) as fleet:
        one, operated = fleet.replicas
        await look(operated)
        await until_shared(redis)
        await look(one)
        redis.freeze()
        for number in range(5):
            await failure(operated.client.resolve(f"pr_none_{number}"))

        async with open_channel(operated.admin_grpc_address) as channel:
            admin: PromptResolverAdminAsyncStub = admin_pb2_grpc.PromptResolverAdminStub(channel)
            await admin.InvalidatePrompts(
                admin_pb2.InvalidatePromptsRequest(prompts=[pb.PromptRef(id="pr_1")])
            )
        async with asyncio.timeout(20):
            while not await asked(operated, "remove", "skipped"):
                pass
        api.fail = failing
        redis.thaw()

        await until_shared(redis, 0)
        async with asyncio.timeout(20):
            with pytest.raises(PromptResolverError):
                while True:
                    await look(one)
        new = await fleet.grow()
        assert (await failure(new.client.resolve("pr_1"))).reason == "STORE_UNAVAILABLE"


async def test_new_replica_while_the_store_is_down(
    tmp_path: Path, redis: RedisProcess, api: HumanloopApi
) -> None:
    """A replica that is new serves what another one knew, and tells that it is old."""
    async with running_fleet(tmp_path, api, settings(redis), size=1, ttl_s=0.2) as fleet:
        await look(fleet.replicas[0])
        await until_older(redis, ttl_s=0.2)
        api.fail = failing
        new = await fleet.grow()

        served = await new.client.resolve("pr_1")
        assert (served.messages[0].content[0].text, served.prompt.cache) == ("one", FALLBACK)
        assert served.prompt.stale
        assert served.prompt.age.ToTimedelta().total_seconds() > 0.2
        api.fail = None
        fleet.edit("two")
        await until_served(new, "two")


async def test_new_replica_gets_the_truth(
    tmp_path: Path, redis: RedisProcess, api: HumanloopApi
) -> None:
    """A copy that has outlived its time is not served while the store answers."""
    async with running_fleet(tmp_path, api, settings(redis), ttl_s=0.1) as fleet:
        one, two = fleet.replicas
        await look(one)
        await until_older(redis, ttl_s=0.1)
        fleet.edit("two")

        assert await look(two) == ("two", MISS, False)


async def test_killed_under_load(fleet: Fleet, redis: RedisProcess) -> None:
    """Redis may crash: no call fails. Once it is back, it is used again."""
    one, two = fleet.replicas
    calls = asyncio.ensure_future(load(fleet, 400))
    async with asyncio.timeout(20):
        while not await entries(redis):
            pass
    await redis.kill()
    assert await calls == ["one"] * 400

    await redis.start()
    await subscribed(one, 2)
    await subscribed(two, 2)
    fleet.edit("two")
    await until_written(one, redis)
    await until_served(two, "two")


async def until_written(replica: RunningService, redis: RedisProcess) -> None:
    """Have a replica ask the store until it has shared the answer: it may have paused."""
    async with asyncio.timeout(20):
        while not await entries(redis):
            await replica.client.resolve("pr_1", refresh=True)


async def load(fleet: Fleet, calls: int) -> list[str]:
    """Make so many calls, a few at once, half of which ask the store."""
    texts = []
    for number in range(0, calls, 4):
        served = await asyncio.gather(
            *(
                replica.client.resolve("pr_1", refresh=refresh, timeout_s=10)
                for replica in fleet.replicas
                for refresh in (number % 8 == 0, False)
            )
        )
        texts += [each.messages[0].content[0].text for each in served]
    return texts


async def test_frozen(fleet: Fleet, redis: RedisProcess) -> None:
    """A Redis that swallows everything costs a call no more than its timeout, and soon nothing."""
    await look(fleet.replicas[0])
    await until_shared(redis)
    redis.freeze()
    for number in range(20):
        fleet.api.put(f"cold/{number}", prompt_id=f"pr_{number}", template="cold")
        served = await fleet.replicas[1].client.resolve(f"pr_{number}", timeout_s=5)
        assert served.messages[0].content[0].text == "cold"
    redis.thaw()

    timeouts = await asked(fleet.replicas[1], "read", "timeout")
    skipped = await asked(fleet.replicas[1], "read", "skipped")
    assert timeouts + skipped == 20
    assert timeouts < skipped


async def test_thawed(fleet: Fleet, redis: RedisProcess) -> None:
    """What Redis was told while it was frozen is as old as it is once it comes to know it."""
    one, loop = fleet.replicas[0], asyncio.get_running_loop()
    await look(one)
    await until_shared(redis)
    redis.freeze()
    await one.client.resolve("pr_1", refresh=True)
    confirmed_at = loop.time()
    async with asyncio.timeout(20):
        while not await asked(one, "write", "timeout"):
            pass
    redis.thaw()
    new = await fleet.grow()
    began = loop.time()

    served = await new.client.resolve("pr_1")
    assert served.prompt.age.ToTimedelta().total_seconds() > began - confirmed_at


async def test_flushed(fleet: Fleet, redis: RedisProcess) -> None:
    """What is lost in Redis is lost to nobody, and is there again once a store confirms it."""
    one, two = fleet.replicas
    await look(one)
    await until_shared(redis)
    await look(two)
    await redis.client.flushall()

    assert [await look(replica) for replica in (one, two)] == [("one", HIT, False)] * 2
    fleet.edit("two")
    await two.client.resolve("pr_1", refresh=True)
    await until_served(one, "two")


@pytest.mark.parametrize("value", [b"", b"x", b"{}", secrets.token_bytes(5_000_000)], ids=len)
async def test_garbage(fleet: Fleet, redis: RedisProcess, value: bytes) -> None:
    """What no replica has written is passed over, counted, and replaced."""
    one, two = fleet.replicas
    await look(one)
    (name,) = await until_shared(redis)
    if value:
        await redis.client.set(name, value, ex=3600)
    else:
        await redis.client.delete(name)
        await redis.client.hset(name, "a", "b")

    assert await look(two) == ("one", MISS, False)
    assert await asked(two, "read", "garbage" if value else "refused") == 1
    async with asyncio.timeout(20):
        while await redis.client.type(name) != b"string" or await redis.client.get(name) == value:
            pass
    assert await look(await fleet.grow()) == ("one", MISS, False)
    assert len(fleet.api.exchanges) == 2


async def test_moved(fleet: Fleet, redis: RedisProcess) -> None:
    """What was written for one prompt is not taken for another's."""
    one, two = fleet.replicas
    fleet.api.put("other", prompt_id="pr_2", template="other")
    await look(one)
    (name,) = await until_shared(redis)
    await one.client.resolve("pr_2")
    names = await until_shared(redis, 2)
    (other,) = (each for each in names if each != name)
    await redis.client.copy(other, name, replace=True)

    assert await look(two) == ("one", MISS, False)
    assert await asked(two, "read", "garbage") == 1


async def test_nonsense_as_news(fleet: Fleet, redis: RedisProcess) -> None:
    """News that no replica has told are counted, and change nothing."""
    one, two = fleet.replicas
    await look(one)
    for message in (b"", b"x" * 40, b"x" * 32 + b'{"sender": 1}', b"x" * 100_000):
        await redis.client.publish("prompt-resolver:news", message)
    fleet.edit("two")
    forged = b'{"sender":"x","change":"gone","store":"hl","id":"pr_1","version":null'
    await redis.client.publish("prompt-resolver:news", b"x" * 32 + forged + b',"environment":null}')
    async with asyncio.timeout(20):
        while await asked(two, "subscribe", "garbage") < 5:
            pass

    assert await look(one) == ("one", HIT, False)


async def test_callers_own_key(fleet: Fleet, redis: RedisProcess) -> None:
    """What a caller's own key has opened is in no replica but the one that was asked."""
    one, two = fleet.replicas
    credentials = {"x-prompt-store-key": KEY}
    for replica in (one, two):
        served = await replica.client.resolve("pr_1", credentials=credentials)
        assert served.prompt.cache == MISS
    assert len(fleet.api.exchanges) == 2

    await look(one)
    await until_shared(redis)
    assert await asked(one, "write", "ok") == 1


async def test_other_account(fleet: Fleet, redis: RedisProcess) -> None:
    """Another key of the store, in another service, neither finds nor disturbs what is shared."""
    one, _ = fleet.replicas
    await look(one)
    await until_shared(redis)
    stranger = await fleet.grow(key="another-key")

    with pytest.raises(PromptResolverError) as caught:
        await look(stranger)

    assert caught.value.reason == "STORE_AUTH"
    assert len(await entries(redis)) == 1
    assert await look(one) == ("one", HIT, False)


@pytest.mark.parametrize(
    "answer",
    [
        *(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\xff" * 100, b":x\r\n", b"$-5\r\n", b"*9\r\n"),
        *(b"$999999999999\r\n", b":7\r\n" * 9, b"+OK\r\n" * 9, b"-LOADING\r\n" * 9, b""),
    ],
)
async def test_no_redis_at_all(
    tmp_path: Path, api: HumanloopApi, require_all: bool, answer: bytes
) -> None:
    """Whatever answers in Redis' place, prompts are served."""
    need_redis(require_all=require_all)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer and await reader.read(65536):
            writer.write(answer)
        writer.close()

    async with (
        await asyncio.start_server(babble, "127.0.0.1", 0) as server,
        AsyncExitStack() as stack,
    ):
        host, port = server.sockets[0].getsockname()
        fleet = Fleet(tmp_path, api, f"url: 'redis://{host}:{port}'", 3600, stack)
        fleet.edit("one")
        replica = await fleet.grow(joins=False)
        assert await look(replica) == ("one", MISS, False)
        assert await look(replica) == ("one", HIT, False)
        assert (await replica.client.resolve("pr_1", refresh=True)).messages
        await stack.aclose()


@pytest.mark.parametrize("given", ["wrong", None])
async def test_refused(
    tmp_path: Path, api: HumanloopApi, require_all: bool, given: str | None
) -> None:
    """A Redis that does not let us in is done without."""
    need_redis(require_all=require_all)
    async with running_redis(tmp_path, password="right") as redis, AsyncExitStack() as stack:
        fleet = Fleet(tmp_path, api, settings(redis, password="right"), 3600, stack)
        fleet.edit("one")
        more = {} if given is None else {"password": given}
        stranger = await fleet.grow(redis=settings(redis, **more), joins=False)
        assert await look(stranger) == ("one", MISS, False)
        assert await asked(stranger, "read", "refused") == 1

        await look(await fleet.grow())
        await until_shared(redis)
        assert await look(await fleet.grow()) == ("one", MISS, False)
        assert len(api.exchanges) == 2


@pytest.mark.parametrize(
    "told", [("config", "set", "maxmemory", "1"), ("replicaof", "127.0.0.1", "1")]
)
async def test_refuses_to_write(fleet: Fleet, redis: RedisProcess, told: tuple[str, ...]) -> None:
    """A Redis that is full, or a copy that may only be read, fails no call."""
    one, two = fleet.replicas
    await look(one)
    await until_shared(redis)
    await redis.client.execute_command(*told)  # type: ignore[no-untyped-call]
    fleet.edit("two")

    assert (await one.client.resolve("pr_1", refresh=True)).messages[0].content[0].text == "two"
    assert await look(two) == ("one", MISS, False)
    async with asyncio.timeout(20):
        while not await asked(one, "write", "refused"):
            pass


async def test_unix_socket(tmp_path: Path, api: HumanloopApi, require_all: bool) -> None:
    """Redis may be behind a Unix socket."""
    need_redis(require_all=require_all)
    path = tmp_path / "r.sock"
    arguments = ("--port", "0", "--unixsocket", str(path))
    async with running_redis(tmp_path, *arguments, url=f"unix://{path}") as redis:
        await share(tmp_path, api, redis)


async def test_user_with_few_rights(tmp_path: Path, api: HumanloopApi, redis: RedisProcess) -> None:
    """A user needs no more rights than the ones that the notes on deployment name."""
    notes = (Path(__file__).parents[4] / "deploy" / "README.md").read_text()
    rights = re.findall(r"\+[a-z]+|(?<=`)prompt-resolver:[*a-z]+", notes)
    commands, (keys, channel) = rights[:-2], rights[-2:]
    told = ("ACL", "SETUSER", "app", "on", ">right", f"~{keys}", f"&{channel}", *commands)
    await redis.client.execute_command(*told)  # type: ignore[no-untyped-call]
    url = redis.url.replace("//", "//app@")

    async with running_fleet(tmp_path, api, settings(redis, url=url, password="right")) as fleet:
        one, two = fleet.replicas
        await look(one)
        await until_shared(redis)
        assert await look(two) == ("one", MISS, False)
        fleet.edit("two")
        await one.client.resolve("pr_1", refresh=True)
        await until_served(two, "two")
        for replica in (one, two):
            assert 'outcome="refused"' not in await replica.metrics()


async def test_tls(tmp_path: Path, api: HumanloopApi, require_all: bool) -> None:
    """Redis may be asked over TLS, by whom the configured authority vouches for."""
    need_redis(require_all=require_all)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = [tmp_path / name for name in ("ca.pem", "key.pem", "cert.pem")]
    authority.cert_pem.write_to_path(str(files[0]))
    certificate.private_key_pem.write_to_path(str(files[1]))
    certificate.cert_chain_pems[0].write_to_path(str(files[2]))
    port = find_port()
    arguments = (
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-key-file", str(files[1]), "--tls-cert-file", str(files[2])),
        *("--tls-ca-cert-file", str(files[0])),
    )
    url, tls = f"rediss://127.0.0.1:{port}", {"ssl_ca_certs": str(files[0])}
    async with running_redis(tmp_path, *arguments, url=url, tls=tls) as redis:
        await share(tmp_path, api, redis, server=f"{{ca_file: {files[0]}}}")


async def share(
    folder: Path, api: HumanloopApi, redis: RedisProcess, *, server: str = "{}"
) -> None:
    """Have two replicas share something."""
    async with running_fleet(folder, api, settings(redis), server=server) as fleet:
        await look(fleet.replicas[0])
        await until_shared(redis)
        await look(fleet.replicas[1])
        assert len(api.exchanges) == 1
