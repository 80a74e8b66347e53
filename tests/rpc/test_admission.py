"""Calls beyond what the server may run are refused at once; those that run are not disturbed."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.raw import check_health
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream, answer_openai


def config(prompts: Path, upstream: Upstream, **limits: int) -> str:
    return f"""
server: {limits}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""


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
        async with grpc.aio.insecure_channel(service.address) as channel:
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
