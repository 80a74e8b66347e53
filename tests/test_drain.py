"""A service that is told to stop while calls of every kind run."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from tests.support.calls import VARIABLES, Streamed, failure
from tests.support.flood import Flood
from tests.support.http import HttpDoor
from tests.support.load import Load
from tests.support.ports import find_port
from tests.support.raw import open_channel
from tests.support.scene import Scene, faults_in, running_scene
from tests.support.service import RunningService, running_process
from tests.support.upstream import Exchange, Upstream, answer_openai, openai_events

DRAIN_S = 2
HELD = 10
ENDS = 20
EACH = 4
PATIENCE_S = 30


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


@pytest.mark.timeout(300)
async def test_ends_under_load(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Twenty times it is ended under load and started anew: no call fails, and health turns first.

    A stream that is cut is told so; all else is answered, by the next one if need be.
    """
    address = f"127.0.0.1:{find_port()}"
    config = f"""
server: {{drain_s: {DRAIN_S}}}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with AsyncPromptResolverClient(address) as client, Callers(client) as callers:
        for _ in range(ENDS):
            async with (
                running_process(tmp_path, config, {"PROMPT_RESOLVER_GRPC_ADDRESS": address}) as (
                    _,
                    process,
                ),
                open_channel(address) as channel,
            ):
                watching = asyncio.ensure_future(watch_health(channel))
                await callers.go_on(50)
                process.process.send_signal(signal.SIGTERM)
                told_at = time.monotonic()
                code = await asyncio.to_thread(process.process.wait, 30)
                ended_after_s = time.monotonic() - told_at
                statuses = await watching

            assert code == 0
            assert ended_after_s < DRAIN_S + 3
            assert statuses == ["SERVING", "NOT_SERVING"]
        async with running_process(tmp_path, config, {"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
            await callers.end()

    assert callers.failures == []


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
        open_channel(service.address) as channel,
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
    stopped = json.loads(log.splitlines()[-1])
    assert (stopped["message"], stopped["calls_cut"]) == ("stopped", HELD)
    assert faults_in(log) == []
    assert code == 0
    assert ended_after_s < DRAIN_S + 3


@pytest.mark.timed
async def test_an_answer_that_comes_first(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """An answer that is there before the doors are closed is given once nothing more is let in."""
    asked: asyncio.Queue[Exchange] = asyncio.Queue()

    async def hold(exchange: Exchange) -> None:
        asked.put_nowait(exchange)
        await exchange.wait_closed()

    upstream.answer = hold
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with running_process(tmp_path, config) as (service, process):
        calls = [
            asyncio.ensure_future(service.client.complete("greet", variables=VARIABLES))
            for _ in range(2)
        ]
        first, second = [await asked.get() for _ in calls]

        process.process.send_signal(signal.SIGTERM)
        while '"draining"' not in process.log_file.read_text():
            await service.metrics()
        await answer_openai(first)
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        ready = await readiness(service)
        host, _, port = service.address.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
        await answer_openai(second)
        answers = await asyncio.gather(*calls)
        code = await asyncio.to_thread(process.process.wait, 30)

    assert ready == 503
    assert all(answer.message.content[0].text for answer in answers)
    assert code == 0


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


class Callers:
    """Callers that call again and again until they are ended. `failures` are what should not be."""

    def __init__(self, client: AsyncPromptResolverClient) -> None:
        self._client = client
        self._ending = False
        self._answered = asyncio.Semaphore(0)
        self.failures: list[str] = []

    async def __aenter__(self) -> Self:
        calls = (self._resolve, self._complete, self._stream)
        self._tasks = [asyncio.ensure_future(self._again(each)) for each in calls * EACH]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()

    async def go_on(self, calls: int) -> None:
        """Wait until so many more calls have been answered."""
        self._answered = asyncio.Semaphore(0)
        for _ in range(calls):
            await self._answered.acquire()

    async def end(self) -> None:
        """Begin no more calls, and wait for those that run."""
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def _again(self, call: Callable[[], Awaitable[None]]) -> None:
        while not self._ending:
            try:
                await call()
            except PromptResolverError as error:
                if not (call == self._stream and error.reason == "DRAINING"):
                    self.failures.append(f"{call.__name__}: {error.code} {error}")
            else:
                self._answered.release()

    async def _resolve(self) -> None:
        await self._client.resolve("greet", variables=VARIABLES, timeout_s=PATIENCE_S)

    async def _complete(self) -> None:
        await self._client.complete("greet", variables=VARIABLES, timeout_s=PATIENCE_S)

    async def _stream(self) -> None:
        stream = self._client.complete_stream("greet", variables=VARIABLES, timeout_s=PATIENCE_S)
        events = [event async for event in stream]
        assert events[-1].HasField("finished")


async def watch_health(channel: grpc.aio.Channel) -> list[str]:
    """Return what health is, up to the end of SERVING."""
    watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    call = watch(b"")
    told = aiter(call)
    replies = [health_pb2.HealthCheckResponse.FromString(await anext(told)) for _ in range(2)]
    call.cancel()
    return [health_pb2.HealthCheckResponse.ServingStatus.Name(each.status) for each in replies]


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


async def test_last_answers(tmp_path: Path, upstream: Upstream) -> None:
    """An answer that is given while the service stops tells that its connection is not kept."""
    held: asyncio.Queue[Exchange] = asyncio.Queue()
    finishing = asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        held.put_nowait(exchange)
        await finishing.wait()
        await answer(exchange)

    answer, upstream.answer = upstream.answer, hold
    config = f"""
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
model_list: [{{model_name: m, litellm_params: {{model: fake/m}}}}]
"""
    said = [{"role": "user", "content": "hi"}]
    async with (
        running_process(tmp_path, config) as (service, process),
        aiohttp.ClientSession(base_url=service.http_url) as kept,
    ):
        chat = {"model": "m", "messages": said}
        call = asyncio.ensure_future(kept.post("/v1/chat/completions", json=chat))
        await held.get()
        process.process.send_signal(signal.SIGTERM)
        await refusing(service)
        finishing.set()
        async with await call as response:
            last = response.status, response.headers.get("connection")
        code = await asyncio.to_thread(process.process.wait, 30)

    assert last == (200, "close")
    assert code == 0


async def refusing(service: RunningService) -> None:
    """Wait until the admin door says that the service is not ready any more."""
    async with aiohttp.ClientSession() as session:
        status = 200
        while status == 200:
            async with session.get(f"{service.admin_url}/readyz") as response:
                status = response.status
