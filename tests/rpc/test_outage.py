"""A store that answers slowly, with nonsense, with failures or not at all, seen by its callers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure
from tests.support.http import HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.service import RunningService, running_service
from tests.support.upstream import Answer, Exchange

TTL_S = 0.2


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template="first")
        yield api


@pytest.fixture
async def service(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over the API, whose prompts are fresh for a fifth of a second."""
    config = f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: {TTL_S}, timeout_s: 0.5}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def failing(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def nonsense(exchange: Exchange) -> None:
    await send(exchange, {"id": "pr_1"})


async def cut(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    exchange.writer.close()


async def closed(exchange: Exchange) -> None:
    exchange.reset()


async def walled(exchange: Exchange) -> None:
    page = b"<html>Just a moment...</html>"
    await exchange.send_response(page, status="403 Forbidden", content_type="text/html")


async def silent(exchange: Exchange) -> None:
    await exchange.wait_closed()


async def until(service: RunningService, **fields: object) -> pb.PromptInfo:
    """Resolve until what was served is like this, and return it."""
    async with asyncio.timeout(10):
        while True:
            info = (await service.client.resolve("pr_1", timeout_s=5)).prompt
            if all(getattr(info, name) == value for name, value in fields.items()):
                return info


@pytest.mark.parametrize("answer", [failing, nonsense, cut, closed, walled, silent])
async def test_outage(service: RunningService, api: HumanloopApi, answer: Answer) -> None:
    """What was served once goes on being served, with its true age, until the store is back."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = await until(service, cache=pb.CACHE_RESULT_MISS)
    confirmed = loop.time()
    api.fail = answer

    stale = await until(service, stale=True)
    now = loop.time()

    assert (stale.version, stale.cache) == (first.version, pb.CACHE_RESULT_STALE)
    age_s = stale.age.ToTimedelta().total_seconds()
    assert TTL_S <= age_s <= now - began
    assert age_s >= now - confirmed - 0.25
    assert (await failure(service.client.resolve("pr_2"))).reason == "STORE_UNAVAILABLE"

    api.fail = None
    api.put("greet", prompt_id="pr_1", version="prv_2", template="second")
    back = loop.time()
    fresh = await until(service, version="prv_2")

    assert not fresh.stale
    assert loop.time() - back < 2.5


def hold(api: HumanloopApi) -> tuple[asyncio.Event, asyncio.Event]:
    """Let the API answer its next request once it may: whether it was asked, and the permission."""
    asked, may = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        asked.set()
        await may.wait()
        api.fail = None
        await api.answer(exchange)

    api.fail = slow
    return asked, may


async def test_slow_store(tmp_path: Path, api: HumanloopApi) -> None:
    """While a slow store is asked again, nobody waits for it."""
    config = f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: {TTL_S}, timeout_s: 60}}
"""
    async with running_service(tmp_path, config) as service:
        await until(service, cache=pb.CACHE_RESULT_MISS)
        asked, may = hold(api)
        while not asked.is_set():
            await service.client.resolve("pr_1")
        await until(service, cache=pb.CACHE_RESULT_STALE)
        requests = len(api.requests)
        infos = [(await service.client.resolve("pr_1")).prompt for _ in range(50)]
        may.set()

    assert {info.cache for info in infos} == {pb.CACHE_RESULT_STALE}
    assert not any(info.stale for info in infos)
    assert len(api.requests) == requests


async def test_refresh_from_a_store_that_hangs(tmp_path: Path, api: HumanloopApi) -> None:
    """A refresh that takes longer than the call is answered in time with what is held."""
    config = f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, timeout_s: 60}}
"""
    async with running_service(tmp_path, config) as service:
        await until(service, cache=pb.CACHE_RESULT_MISS)
        asked, may = hold(api)
        resolved = await service.client.resolve("pr_1", refresh=True, timeout_s=1)
        api.put("greet", prompt_id="pr_1", version="prv_2", template="second")
        may.set()
        await until(service, version="prv_2")

    assert asked.is_set()
    assert (resolved.prompt.cache, resolved.prompt.stale) == (pb.CACHE_RESULT_STALE, True)


@pytest.mark.parametrize("answer", [failing, nonsense, cut, closed, silent])
async def test_when_to_ask_again(
    service: RunningService, api: HumanloopApi, answer: Answer
) -> None:
    """Who gets nothing is told when to ask again, by either door."""
    api.fail = answer
    error = await failure(service.client.resolve("pr_1"))
    refused = await HttpDoor(service.http_url).chat(model="hl/auto", prompt_id="pr_1", messages=[])

    assert error.reason == refused.error["reason"] == "STORE_UNAVAILABLE"
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s <= 1.5
    assert refused.headers["retry-after"] in ("1", "2")


async def test_when_to_ask_again_where_nobody_knows(tmp_path: Path) -> None:
    """Who asks a store that has each call ask it again is told a second."""
    config = f"stores: {{local: {{type: directory, path: '{tmp_path}/gone'}}}}"
    (tmp_path / "gone").mkdir()
    async with running_service(tmp_path, config) as service:
        (tmp_path / "gone").rmdir()
        error = await failure(service.client.resolve("greet"))

    assert (error.reason, error.retry_after_s) == ("STORE_UNAVAILABLE", 1.0)


async def test_wait_that_is_longer_than_the_call(
    service: RunningService, api: HumanloopApi
) -> None:
    """A call that ends before the store may be asked again tells why, and waits for nothing."""

    async def busy(exchange: Exchange) -> None:
        status, headers = "503 Service Unavailable", "Retry-After: 30\r\n"
        await exchange.send_response(b"{}", status=status, headers=headers)

    api.fail = busy

    error = await failure(service.client.resolve("pr_1", timeout_s=2))

    assert (error.reason, error.retry_after_s) == ("STORE_UNAVAILABLE", 30)


async def test_stampede(tmp_path: Path, api: HumanloopApi) -> None:
    """A thousand callers of a prompt that is not held cost one fetch, and the first one may go."""
    asked, may = hold(api)
    config = f"stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}}}"
    async with running_service(tmp_path, config) as service:

        def call() -> asyncio.Future[pb.ResolveResponse]:
            return asyncio.ensure_future(service.client.resolve("pr_1", timeout_s=30))

        first = call()
        await asked.wait()
        others = [call() for _ in range(1000)]
        await asyncio.sleep(0)
        first.cancel()
        may.set()
        responses = await asyncio.gather(*others)

    assert {response.messages[0].content[0].text for response in responses} == {"first"}
    assert len(api.requests) == 1


async def test_removed_and_refused(service: RunningService, api: HumanloopApi) -> None:
    """A prompt that the store has no more is gone, and a key that it refuses opens nothing."""
    await until(service, cache=pb.CACHE_RESULT_MISS)

    async def refuse(exchange: Exchange) -> None:
        await send(exchange, {"detail": "Invalid API key"}, status="401 Unauthorized")

    async def reason() -> str:
        async with asyncio.timeout(10):
            while True:
                try:
                    await service.client.resolve("pr_1")
                except PromptResolverError as error:
                    return error.reason

    api.fail = refuse
    assert await reason() == "STORE_AUTH"
    api.fail = None
    await until(service, stale=False)
    del api.prompts["pr_1"]
    assert await reason() == "PROMPT_NOT_FOUND"
