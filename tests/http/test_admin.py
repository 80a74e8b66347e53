"""The admin door: metrics and probes."""

import os
import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.metrics import Metrics
from tests.support.calls import VARIABLES, collect, failure
from tests.support.prompts import write_prompt
from tests.support.service import RunningService
from tests.support.upstream import Exchange, Upstream


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_probes(service: RunningService) -> None:
    """A running service is alive and ready; anything else is not there."""
    assert await get(f"{service.admin_url}/healthz") == (200, "ok\n")
    assert await get(f"{service.admin_url}/readyz") == (200, "ready\n")
    assert (await get(f"{service.admin_url}/elsewhere"))[0] == 404


async def test_template_cache(service: RunningService, prompts: Path) -> None:
    """Templates served are counted by store and by how the cache took part."""
    os.utime(prompts / "greet.prompt", (1_000_000_000, 1_000_000_000))
    for refresh in (False, False, True):
        await service.client.resolve("greet", variables=VARIABLES, refresh=refresh)
    await failure(service.client.resolve("nowhere"))

    page = await service.metrics()

    name = "prompt_resolver_template_cache_requests_total"
    for result in ("hit", "miss", "bypass"):
        assert f'{name}{{result="{result}",store="local"}} 1.0' in page
    fetches = "prompt_resolver_template_fetch_duration_seconds_count"
    assert f'{fetches}{{outcome="ok",store="local"}} 2.0' in page
    assert f'{fetches}{{outcome="prompt_not_found",store="local"}} 1.0' in page
    assert "prompt_resolver_render_duration_seconds_count 3.0" in page


async def test_upstream(service: RunningService, upstream: Upstream) -> None:
    """Calls to providers are timed by provider, model and outcome, and their tokens counted."""
    await service.client.complete("greet", variables=VARIABLES)
    await collect(service.client)

    async def fail(exchange: Exchange) -> None:
        await exchange.send_response(b"", status="429 X")

    upstream.answer = fail
    await failure(service.client.complete("greet", variables=VARIABLES))

    page = await service.metrics()

    labels = 'model="some-model",outcome="{}",provider="fake"'
    seconds = "prompt_resolver_upstream_request_duration_seconds_count"
    assert f"{seconds}{{{labels.format('ok')}}} 2.0" in page
    assert f"{seconds}{{{labels.format('upstream_rate_limited')}}} 1.0" in page
    first = "prompt_resolver_upstream_time_to_first_chunk_seconds_count"
    assert f'{first}{{model="some-model",provider="fake"}} 1.0' in page
    tokens = 'prompt_resolver_tokens_total{{direction="{}",model="some-model",provider="fake"}} {}'
    assert tokens.format("input", "10.0") in page
    assert tokens.format("output", "4.0") in page
    assert 'prompt_resolver_upstream_inflight{provider="fake"} 0.0' in page


async def test_calls(service: RunningService) -> None:
    """Calls are counted under the names that gRPC dashboards know."""
    await service.client.resolve("greet", variables=VARIABLES)
    await failure(service.client.resolve("greet"))
    await collect(service.client)

    page = await service.metrics()

    def labels(method: str, kind: str) -> str:
        return (
            f'grpc_method="{method}",grpc_service="prompt_resolver.v1.PromptResolver",'
            f'grpc_type="{kind}"'
        )

    unary, streamed = labels("Resolve", "UNARY"), labels("CompleteStream", "SERVER_STREAM")
    assert f"grpc_server_started_total{{{unary}}} 2.0" in page
    assert f'grpc_server_handled_total{{grpc_code="OK",{unary}}} 1.0' in page
    assert f'grpc_server_handled_total{{grpc_code="INVALID_ARGUMENT",{unary}}} 1.0' in page
    assert f"grpc_server_msg_received_total{{{unary}}} 2.0" in page
    assert f"grpc_server_msg_sent_total{{{unary}}} 1.0" in page
    assert f"grpc_server_handling_seconds_count{{{unary}}} 2.0" in page
    assert f"grpc_server_msg_sent_total{{{streamed}}} 3.0" in page


async def test_build(service: RunningService) -> None:
    """The running version is told."""
    assert 'prompt_resolver_build_info{version="test"} 1.0' in await service.metrics()


async def test_callers_make_no_labels(
    service: RunningService, prompts: Path, upstream: Upstream
) -> None:
    """A model that only callers name is no label, whether or not a provider answers for it."""

    async def fail(exchange: Exchange) -> None:
        await exchange.send_response(b"", status="404 X")

    upstream.answer, answers = fail, upstream.answer
    for number in range(20):
        model = f"fake/made-up-{number}"
        await failure(service.client.complete("greet", variables=VARIABLES, model=model))
    upstream.answer = answers
    await service.client.complete("greet", variables=VARIABLES, model="fake/real")
    write_prompt(prompts, "other", "<user>\nHi\n</user>", model="templates-own")
    await service.client.complete("other")

    models = set(re.findall(r'model="([^"]*)"', await service.metrics()))

    assert models == {"other", "templates-own"}


def test_models_are_bounded() -> None:
    """There are never more than a hundred labels for models, whoever names them."""
    metrics = Metrics(CollectorRegistry(), version="test")

    for number in range(1000):
        of_model = metrics.upstream.of("p", f"m{number}", vouched=True)
        of_model.started()
        of_model.ended("ok", 1)

    name = "prompt_resolver_upstream_request_duration_seconds_count"
    labels = [
        sample.labels["model"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    ]
    assert len(labels) == 101
    assert "other" in labels


@pytest.mark.parametrize(
    "suffix", ["_total", "_seconds", "_info", "_inflight", "_entries", "_bytes", "_state"]
)
async def test_names(service: RunningService, suffix: str) -> None:
    """Our metrics have our prefix, and their units at their end."""
    page = await service.metrics()

    names = re.findall(r"^# TYPE (\S+) \S+$", page, re.MULTILINE)
    ours = [name for name in names if name.startswith("prompt_resolver_")]
    endings = (
        *("_total", "_seconds", "_info", "_inflight", "_entries", "_bytes", "_state"),
        *("_created", "_successful"),
    )
    assert all(name.endswith(endings) for name in ours)
    assert any(name.endswith(suffix) for name in ours)
