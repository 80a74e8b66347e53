"""A service that is told to stop while calls of every kind run."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver import PromptResolverError
from tests.support.calls import VARIABLES, Streamed, failure
from tests.support.flood import Flood
from tests.support.http import HttpDoor
from tests.support.load import Load
from tests.support.scene import Scene, faults_in, running_scene
from tests.support.service import RunningService, running_process
from tests.support.upstream import Exchange, Upstream, openai_events

DRAIN_S = 2
HELD = 10


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as scene:
        yield scene


async def test_mixed_load(tmp_path: Path, scene: Scene) -> None:
    """In the middle of a mixed load, each call ends as it should, or is refused."""
    async with (
        running_process(tmp_path, scene.config) as (service, process),
        Load(service.address, scene.api, seed=7) as load,
    ):
        running = asyncio.ensure_future(load.run(500, per_second=200))
        while load.begun < 250:
            await service.metrics()

        load.ending = True
        process.process.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        code = await asyncio.to_thread(process.process.wait, 30)
        ended_after_s = time.monotonic() - told_at
        await running
        log = process.log_file.read_text()

    assert load.faults == []
    assert faults_in(log) == []
    assert code == 0
    assert ended_after_s < scene.drain_s + 3
    refused = [load.outcomes[f"{kind} UNAVAILABLE"] for kind in ("resolve", "complete", "stream")]
    assert all(refused)


async def test_running_calls(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Health turns first; what runs may end, is told if it does not, and what is new is refused."""
    held: asyncio.Queue[Exchange] = asyncio.Queue()
    events = openai_events("Hel", "lo")

    async def hold(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(events[0])
        held.put_nowait(exchange)
        await exchange.wait_closed()

    upstream.answer = hold
    config = f"""
server: {{drain_s: {DRAIN_S}}}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with (
        running_process(tmp_path, config) as (service, process),
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watching = aiter(watch(b""))
        serving = [await anext(watching)]
        calls = [asyncio.ensure_future(call) for call in begin(service, HELD)]
        exchanges = [await held.get() for _ in calls]

        process.process.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        serving.append(await anext(watching))
        ready = await readiness(service)
        refused = await failure(service.client.complete("greet", variables=VARIABLES))
        undisturbed = not any(call.done() for call in calls)
        for exchange in exchanges[:HELD]:
            await exchange.send(b"".join(events[1:]))
            exchange.writer.close()
        ended = await asyncio.gather(*calls)
        code = await asyncio.to_thread(process.process.wait, 30)
        ended_after_s = time.monotonic() - told_at
        log = process.log_file.read_text()

    statuses = [health_pb2.HealthCheckResponse.FromString(each).status for each in serving]
    reply = health_pb2.HealthCheckResponse
    assert statuses == [reply.SERVING, reply.NOT_SERVING]
    assert ready == 503
    assert refused.code == grpc.StatusCode.UNAVAILABLE
    assert undisturbed
    assert sorted(ended) == ["DRAINING"] * HELD + ["Hello"] * HELD
    assert faults_in(log) == []
    assert code == 0
    assert ended_after_s < DRAIN_S + 3


async def test_caller_that_does_not_read(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A caller that has stopped reading does not keep the service from ending in time, with 0."""
    flood = Flood(16 * 1024 * 1024)
    upstream.answer = flood.answer
    config = f"""
server: {{drain_s: 1}}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with running_process(tmp_path, config) as (service, process):
        stream = service.client.complete_stream("greet", variables=VARIABLES)
        await anext(stream)

        process.process.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        await asyncio.wait_for(flood.closed, 30)
        code = await asyncio.to_thread(process.process.wait, 30)
        ended_after_s = time.monotonic() - told_at
        with pytest.raises(PromptResolverError) as caught:
            async for _ in stream:
                pass
        log = process.log_file.read_text()

    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert faults_in(log) == []
    assert code == 0
    assert ended_after_s < 10


def begin(service: RunningService, each: int) -> list[Awaitable[str]]:
    """Return so many calls for a whole answer, and as many for a stream."""

    async def whole() -> str:
        answer = await service.client.complete("greet", variables=VARIABLES)
        return answer.message.content[0].text

    async def stream() -> str:
        streamed = Streamed()
        async for event in service.client.complete_stream("greet", variables=VARIABLES):
            streamed.events.append(event)
        assert streamed.finished
        return streamed.text

    async def outcome(call: Awaitable[str]) -> str:
        try:
            return await call
        except PromptResolverError as error:
            return error.reason

    return [outcome(call()) for _ in range(each) for call in (whole, stream)]


async def readiness(service: RunningService) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.admin_url}/readyz") as page,
    ):
        return page.status


async def test_http_calls(tmp_path: Path, upstream: Upstream) -> None:
    """HTTP calls that run are told of the end, and a kept connection is let nothing more in."""
    held: asyncio.Queue[Exchange] = asyncio.Queue()

    async def hold(exchange: Exchange) -> None:
        if exchange.json.get("stream_options"):
            await exchange.begin_stream()
            await exchange.send(openai_events("Hello")[0])
        held.put_nowait(exchange)
        await exchange.wait_closed()

    upstream.answer = hold
    config = f"""
server: {{drain_s: 1}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', stream_completions: false}}
model_list: [{{model_name: m, litellm_params: {{model: fake/m}}}}]
"""
    said = [{"role": "user", "content": "hi"}]
    async with (
        running_process(tmp_path, config) as (service, process),
        aiohttp.ClientSession(base_url=service.http_url) as kept,
    ):
        async with kept.get("/v1/models") as response:
            assert response.status == 200
        door = HttpDoor(service.http_url)
        calls = [
            asyncio.ensure_future(door.chat(model="m", messages=said, stream=stream))
            for stream in (False, True)
        ]
        for _ in calls:
            await held.get()

        process.process.send_signal(signal.SIGTERM)
        await refusing(service)
        async with kept.get("/v1/models") as response:
            late = response.status, response.headers["connection"]
        whole, streamed = await asyncio.gather(*calls)
        code = await asyncio.to_thread(process.process.wait, 30)

    assert late == (503, "close")
    assert (whole.status, whole.error["reason"]) == (503, "DRAINING")
    assert (streamed.status, streamed.cut) == (200, True)
    assert "DRAINING" in streamed.events[-1]
    assert code == 0


async def refusing(service: RunningService) -> None:
    """Wait until the admin door says that the service is not ready any more."""
    async with aiohttp.ClientSession() as session:
        status = 200
        while status == 200:
            async with session.get(f"{service.admin_url}/readyz") as response:
                status = response.status
