"""Prompts that are fetched at the start, and readiness that waits for them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver_server import prefetch
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import write_prompt
from tests.support.raw import check_health, open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange

READY = (200, "ready\n")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        for number in range(3):
            api.put(f"p{number}", prompt_id=f"pr_{number}", template="first")
        yield api


def configure(api: HumanloopApi, prefetch: str, more: str = "") -> str:
    return f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: 60, timeout_s: 0.5}}
  baked: {{type: directory, path: .}}
  both: {{type: chain, stores: [hl, baked]}}
prefetch: {prefetch}
{more}
"""


async def down(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def readyz(service: RunningService) -> tuple[int, str]:
    url = f"{service.admin_url}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def until_ready(service: RunningService) -> None:
    """Wait until health checks say that the service is ready."""
    async with asyncio.timeout(10):
        while await health(service, "readiness") != SERVING:
            pass


async def health(service: RunningService, name: str) -> int:
    async with open_channel(service.address) as channel:
        return await check_health(channel, name)


async def test_fetched_before_anybody_asks(tmp_path: Path, api: HumanloopApi) -> None:
    """Prompts are fetched at the start, in the versions that are named, and then served at once."""
    config = configure(api, "[pr_0, {id: pr_1, version: prv_1}, {id: p2, store: hl}]")
    async with running_service(tmp_path, config) as service:
        await until_ready(service)
        requests = len(api.requests)
        api.fail = down
        for response in (
            await service.client.resolve("pr_0"),
            await service.client.resolve("pr_1", version="prv_1"),
            await service.client.resolve("p2", store="hl"),
        ):
            assert not response.prompt.stale

    assert len(api.requests) == requests


async def test_ready_once_all_is_there(tmp_path: Path, api: HumanloopApi) -> None:
    """A service that lacks a required prompt serves, and is not ready before it is there."""
    api.fail = down
    prefetch = "[pr_0, {id: pr_1, environment: staging}, {id: pr_9, required: false}]"
    async with running_service(tmp_path, configure(api, prefetch)) as service:
        status, text = await readyz(service)
        assert status == 503
        assert text.splitlines() == [
            "not ready",
            "not there yet: prompt 'pr_0'",
            "not there yet: prompt 'pr_1', environment 'staging'",
        ]
        assert await health(service, "readiness") == NOT_SERVING
        assert await health(service, "") == SERVING
        assert await health(service, "prompt_resolver.v1.PromptResolver") == SERVING

        api.fail = None
        api.put("p1", prompt_id="pr_1", version="prv_2", to="staging", template="second")
        await until_ready(service)
        assert await readyz(service) == READY


async def test_told_why_not(
    tmp_path: Path, api: HumanloopApi, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of a prompt that is not there, in which store and why, ever more seldom."""
    caplog.set_level(logging.INFO, prefetch.__name__)
    api.fail = down
    config = configure(api, "[pr_0, {id: pr_9, version: prv_1, required: false}]")
    async with running_service(tmp_path, config) as service:
        async with asyncio.timeout(10):
            while len(lines_of(caplog, "pr_0")) < 3 or len(lines_of(caplog, "pr_9")) < 3:
                await readyz(service)
        assert await missing(service) == (1, 1)
        api.fail = None
        await until_ready(service)
        assert await missing(service) == (0, 1)

    first, second, third, *_ = lines = lines_of(caplog, "pr_0")
    assert first == {
        "level": "warning",
        "message": "a prompt to prefetch is not there",
        "store": "hl",
        "prompt": "pr_0",
        "required": True,
        "reason": "STORE_UNAVAILABLE",
        "failures": 1,
        "details": {"store": "hl", "http_status": "500", "problem": "status"},
    }
    assert (second["failures"], third["failures"]) == (2, 4)
    assert lines[-1] == {
        "level": "info",
        "message": "a prompt to prefetch is there",
        "store": "hl",
        "prompt": "pr_0",
        "required": True,
    }
    optional = lines_of(caplog, "pr_9")[0]
    assert (optional["required"], optional["version"]) == (False, "prv_1")


def lines_of(caplog: pytest.LogCaptureFixture, prompt: str) -> list[dict[str, object]]:
    lines = [
        json.loads(JsonFormatter().format(each))
        for each in caplog.records
        if each.name == prefetch.__name__
    ]
    return [
        {name: value for name, value in line.items() if name not in ("time", "logger")}
        for line in lines
        if line["prompt"] == prompt
    ]


async def missing(service: RunningService) -> tuple[float, float]:
    """Return how many prompts are missing that are required, and how many that are not."""
    required, optional = [
        await service.metric(f'prompt_resolver_prefetch_missing_entries{{required="{required}"}}')
        for required in ("true", "false")
    ]
    return required, optional


async def test_stays_ready(tmp_path: Path, api: HumanloopApi) -> None:
    """Once ready, a service stays so: when its store goes down, and when a prompt is removed."""
    config = configure(api, "[pr_0]").replace("ttl_s: 60", "ttl_s: 0.05")
    async with running_service(tmp_path, config) as service:
        await until_ready(service)
        api.fail = down
        assert (await service.client.resolve("pr_0")).prompt.store == "hl"
        assert await readyz(service) == READY
        api.fail = None
        api.prompts.clear()
        error = await failure(service.client.resolve("pr_0", refresh=True))
        assert error.reason == "PROMPT_NOT_FOUND"
        assert await readyz(service) == READY


async def test_prompt_that_does_not_exist(tmp_path: Path, api: HumanloopApi) -> None:
    """A service whose required prompt the store does not have is not ready."""
    config = configure(api, "[pr_0, nowhere]")
    async with running_service(tmp_path, config) as service:
        await service.client.resolve("pr_0")
        status, text = await readyz(service)

    assert status == 503
    assert "prompt 'nowhere'\n" in text


async def test_last_known_good_is_there(tmp_path: Path, api: HumanloopApi) -> None:
    """What is there as a copy on disk, or in a later store of a chain, is there."""
    state = "server: {state_dir: state}"
    async with running_service(tmp_path, configure(api, "[pr_0]", state)) as service:
        await until_ready(service)
    write_prompt(tmp_path, "baked", "<user>\nHello\n</user>")
    api.fail = down
    prefetch = "[pr_0, {id: baked, store: both}]"
    async with running_service(tmp_path, configure(api, prefetch, state)) as service:
        await until_ready(service)
        assert await readyz(service) == READY


@pytest.mark.parametrize(
    ("prefetch", "problem"),
    [
        ("[{id: a, store: nowhere}]", "prefetch.0.store: expected one of hl, baked, both"),
        ("[{id: a, version: '1', environment: b}]", "prefetch.0: expected a version or an env"),
        ("[{id: ''}]", "prefetch.0.id: expected a name, got text"),
        ("[../x]", "prefetch.0.id: expected names separated by '/', none of them empty"),
        ("[a, {id: 'b?', store: baked}]", "prefetch.1.id: expected no control character and none"),
        ("[{}]", "prefetch.0: expected the key 'id'"),
        ("[5]", "prefetch.0: expected a mapping, got a number"),
        ("pr_0", "prefetch: expected a list, got text"),
    ],
)
async def test_configuration_that_is_refused(
    tmp_path: Path, api: HumanloopApi, prefetch: str, problem: str
) -> None:
    """A prompt to prefetch that cannot be one stops the start."""
    with pytest.raises(ConfigError, match=f"config.yaml:6: {problem}"):
        async with running_service(tmp_path, configure(api, prefetch)):
            pass
