"""What is counted of calls to providers."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver import PromptResolverError
from tests.support.calls import VARIABLES
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, openai_answer, openai_events

CONFIG = """
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{url}'}}}}
model_list:
  - {{model_name: a, litellm_params: {{model: fake/m}}}}
"""

USAGE = {
    "prompt_tokens": 50,
    "completion_tokens": 20,
    "total_tokens": 70,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 15},
}


@pytest.fixture
async def service(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> AsyncIterator[RunningService]:
    config = CONFIG.format(prompts=prompts, url=upstream.url)
    async with running_service(tmp_path, config) as running:
        yield running


async def ask(service: RunningService) -> None:
    await service.client.complete("greet", alias="a", variables=VARIABLES)


async def tokens(service: RunningService, direction: str) -> float:
    labels = f'direction="{direction}",model="m",provider="fake"'
    return await service.metric(f"prompt_resolver_tokens_total{{{labels}}}")


async def test_tokens(service: RunningService, upstream: Upstream) -> None:
    """Tokens are counted by where they went, those of the cache and of reasoning among them."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(openai_answer(usage=USAGE))

    upstream.answer = answer
    await ask(service)
    await ask(service)

    counted = {
        direction: await tokens(service, direction)
        for direction in ("input", "output", "cache_read", "cache_write", "reasoning")
    }
    assert counted == {
        "input": 100,
        "output": 40,
        "cache_read": 60,
        "cache_write": 0,
        "reasoning": 30,
    }


async def test_models_that_callers_name(service: RunningService) -> None:
    """A model is a label if the configuration names it; what callers write is counted together."""
    for model in ("fake/one", "fake/two"):
        await service.client.complete("greet", model=model, variables=VARIABLES)
    await ask(service)

    page = await service.metrics()
    name = "prompt_resolver_upstream_attempts_total"
    labels = 'outcome="ok",provider="fake",reason=""'
    assert await service.metric(f'{name}{{model="other",{labels}}}') == 2
    assert await service.metric(f'{name}{{model="m",{labels}}}') == 1
    assert not {'model="one"', 'model="two"'} & set(page.replace("{", ",").split(","))


async def test_truncated_streams(service: RunningService, upstream: Upstream) -> None:
    """A stream that is cut is counted as such; one that fails in another way is not."""
    name = 'prompt_resolver_upstream_stream_truncated_total{provider="fake"}'

    async def cut(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hel", "lo")[:2]))
        exchange.writer.close()

    async def fail(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"data: " + json.dumps({"error": {"code": 500}}).encode() + b"\n\n")
        exchange.writer.close()

    for answer in (cut, fail, cut):
        upstream.answer = answer
        with pytest.raises(PromptResolverError):
            await ask(service)

    assert await service.metric(name) == 2


async def test_overhead(service: RunningService, upstream: Upstream) -> None:
    """What an answered call took is its provider's time or overhead; a failed one has none."""
    name = "prompt_resolver_overhead_seconds"

    async def fail(exchange: Exchange) -> None:
        await exchange.send_response(b"", status="500 X")

    began = time.perf_counter()
    response = await service.client.complete("greet", alias="a", variables=VARIABLES)
    whole_s = time.perf_counter() - began
    async for _ in service.client.complete_stream("greet", alias="a", variables=VARIABLES):
        pass
    upstream.answer = fail
    with pytest.raises(PromptResolverError):
        await ask(service)

    overhead_s = await service.metric(f'{name}_sum{{method="complete"}}')
    upstream_s = response.upstream_duration.ToTimedelta().total_seconds()
    assert 0 < overhead_s <= whole_s - upstream_s
    assert await service.metric(f'{name}_count{{method="complete"}}') == 1
    assert await service.metric(f'{name}_count{{method="stream"}}') == 1


async def test_rare_counters_begin_at_nothing(service: RunningService) -> None:
    """What an alert waits for is 0 once its provider is asked: only so is the first one a rise."""
    await ask(service)
    page = await service.metrics()

    for name in ("upstream_stream_truncated", "upstream_retry_budget_exhausted"):
        assert f'prompt_resolver_{name}_total{{provider="fake"}} 0.0\n' in page
    assert 'prompt_resolver_series_overflows_total{family="prompt_resolver_tokens"} 0.0\n' in page
