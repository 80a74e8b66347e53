"""Calls beyond what the server may run are refused at once; those that run are not disturbed."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver import PromptResolverError
from tests.support.calls import VARIABLES, Streamed, collect, failure, status_of
from tests.support.humanloop import running_humanloop, send
from tests.support.raw import check_health, open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai


def config(prompts: Path, upstream: Upstream, **limits: int) -> str:
    return f"""
server: {limits}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""


class Barrier:
    """Holds requests until it is lifted; `lower` holds those that come after."""

    def __init__(self) -> None:
        self._lifted = asyncio.Event()

    def lower(self) -> None:
        self._lifted = asyncio.Event()

    def lift(self) -> None:
        self._lifted.set()

    async def answer(self, exchange: Exchange) -> None:
        lifted = asyncio.ensure_future(self._lifted.wait())
        closed = asyncio.ensure_future(exchange.wait_closed())
        await asyncio.wait({lifted, closed}, return_when=asyncio.FIRST_COMPLETED)
        lifted.cancel()
        closed.cancel()
        if exchange.path.endswith("/chat/completions"):
            await answer_openai(exchange)
        else:
            await send(exchange, {"detail": "not found"}, status="404 Not Found")


async def health_check(channel: grpc.aio.Channel) -> float:
    """Check that the service is ready, and return how many seconds that took."""
    began = time.perf_counter()
    assert await check_health(channel, "readiness") == health_pb2.HealthCheckResponse.SERVING
    return time.perf_counter() - began


async def outcome(call: Awaitable[object]) -> str:
    """Return what comes of a call in a word."""
    try:
        result = await call
    except PromptResolverError as error:
        return error.reason
    except asyncio.CancelledError:
        return "CANCELLED"
    if isinstance(result, Streamed) and result.error is not None:
        return result.error.reason
    return "OK"


async def none_left(service: RunningService) -> bool:
    """Wait until no call is counted any more."""
    async with asyncio.timeout(20):
        while True:
            page = await service.metrics()
            counts = [
                line for line in page.splitlines() if line.startswith("prompt_resolver_calls_i")
            ]
            assert len(counts) == 4
            if all(line.endswith(" 0.0") for line in counts):
                return True


@pytest.mark.parametrize("call_class", ["complete", "stream"])
async def test_limit(tmp_path: Path, prompts: Path, upstream: Upstream, call_class: str) -> None:
    """One class at its limit refuses more of its own; the others, and health, go on."""
    may = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def hold(exchange: Exchange) -> None:
        arrived.release()
        await may.wait()
        await answer_openai(exchange)

    upstream.answer = hold
    limits = {"max_completions": 2, "max_streams": 2}
    labels = f'{{call_class="{call_class}"}}'
    async with running_service(tmp_path, config(prompts, upstream, **limits)) as service:

        async def call() -> str:
            if call_class == "stream":
                streamed = await collect(service.client)
                if streamed.error is not None:
                    raise streamed.error
                return streamed.text
            answer = await service.client.complete("greet", variables=VARIABLES)
            return answer.message.content[0].text

        running = [asyncio.ensure_future(call()) for _ in range(2)]
        for _ in running:
            await arrived.acquire()

        error = await failure(call())
        gauge = await service.metric(f"prompt_resolver_calls_inflight{labels}")
        resolved = await service.client.resolve("greet", variables=VARIABLES)
        async with open_channel(service.address) as channel:
            health = await check_health(channel, "")
        may.set()
        texts = await asyncio.gather(*running)
        after = await call()
        shed = await service.metric(f"prompt_resolver_calls_shed_total{labels}")
        left = await service.metric(f"prompt_resolver_calls_inflight{labels}")

    assert status_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.metadata == {"class": call_class, "limit": "2"}
    assert error.retry_after_s == 0.5
    assert (gauge, shed, left) == (2, 1, 0)
    assert resolved.messages
    assert health == health_pb2.HealthCheckResponse.SERVING
    assert [*texts, after] == ["Hello"] * 3


async def test_storm(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Too many calls, half of whose callers leave, do not disturb health, and leave no trace."""
    barrier = Barrier()
    upstream.answer = barrier.answer
    limits = {"max_resolves": 3, "max_completions": 3, "max_streams": 3}
    outcomes: Counter[str] = Counter()
    health_s: list[float] = []
    async with running_humanloop() as api:
        api.fail = barrier.answer
        folder = config(prompts, upstream, **limits).replace(
            "stores: {", f"stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: k}}, "
        )
        async with (
            running_service(tmp_path, f"{folder}\ndefault_store: local") as service,
            open_channel(service.address) as channel,
        ):
            for wave in range(20):
                barrier.lower()
                calls = [
                    asyncio.ensure_future(outcome(call))
                    for number in range(10)
                    for call in (
                        service.client.resolve(f"pr_{wave}_{number}", store="hl"),
                        service.client.complete("greet", variables=VARIABLES),
                        collect(service.client),
                    )
                ]
                for call in calls[wave % 5 :: 5]:
                    health_s.append(await health_check(channel))
                    call.cancel()
                async with asyncio.timeout(30):
                    while sum(not call.done() for call in calls) > 9:
                        health_s.append(await health_check(channel))
                for call in calls[::2]:
                    call.cancel()
                barrier.lift()
                outcomes.update(await asyncio.gather(*calls))
            left = await none_left(service)
            shed = [
                await service.metric(f'prompt_resolver_calls_shed_total{{call_class="{name}"}}')
                for name in ("resolve", "complete", "stream")
            ]
            upstream.answer = answer_openai
            answer = await service.client.complete("greet", variables=VARIABLES)
            streamed = await collect(service.client)

    assert left
    assert outcomes.keys() == {"OK", "OVERLOADED", "PROMPT_NOT_FOUND", "CANCELLED"}
    assert min(shed) > 40
    assert max(health_s) < 1
    assert answer.message.content[0].text == "Hello"
    assert streamed.text == "Hello"


async def test_calls_that_end_badly_leave(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """A call that fails, or whose caller leaves, makes room for the next one."""
    arrived, closed = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def hold(exchange: Exchange) -> None:
        arrived.release()
        await exchange.wait_closed()
        closed.release()

    async with running_service(
        tmp_path, config(prompts, upstream, max_resolves=1, max_completions=1)
    ) as service:
        for _ in range(3):
            assert (await failure(service.client.resolve("greet"))).reason == "VARIABLES_INVALID"
        upstream.answer = hold
        for _ in range(3):
            call = asyncio.ensure_future(service.client.complete("greet", variables=VARIABLES))
            await arrived.acquire()
            call.cancel()
            await closed.acquire()
        upstream.answer = answer_openai
        async with asyncio.timeout(10):
            while await service.metric('prompt_resolver_calls_inflight{call_class="complete"}'):
                pass
        answer = await service.client.complete("greet", variables=VARIABLES)

    assert answer.message.content[0].text == "Hello"
