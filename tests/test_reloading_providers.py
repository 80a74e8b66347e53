"""What is known of providers outlives a reload that changes nothing about them."""

import asyncio
from pathlib import Path

import pytest

from tests.support.calls import VARIABLES, failure
from tests.support.candidates import ALWAYS, failing
from tests.support.reloads import reload
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai, running_upstream

STORES = "stores: {local: {type: directory, path: prompts}}"


def one(upstream: Upstream, *, key: str = "key-1", more: str = "") -> str:
    """Return the configuration of provider `one`, for an alias of its own with a fallback."""
    address = f"dialect: openai, base_url: '{upstream.url}'"
    return f"""
{STORES}
providers: {{one: {{{address}, api_key: {key}{more}}}}}
model_list: [{{model_name: a, litellm_params: {{model: one/m}}}}]
"""


async def change(service: RunningService, folder: Path, config: str, ttl_s: int) -> None:
    """Have the service read a configuration again in which something else has changed."""
    await reload(service, folder / "config.yaml", f"{config}cache: {{negative_ttl_s: {ttl_s}}}\n")


async def test_calls_at_once(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A provider's calls are no more than it may have, however often something else is changed."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        begun.set()
        await over.wait()
        await answer_openai(exchange)

    upstream.answer = wait
    config = one(upstream, more=", max_concurrency: 1, max_queue_s: 0")
    async with running_service(tmp_path, config) as service:
        client = service.client
        running = asyncio.create_task(client.complete("greet", alias="a", variables=VARIABLES))
        await begun.wait()
        errors = []
        for ttl_s in (1, 2, 3):
            await change(service, tmp_path, config, ttl_s)
            call = client.complete("greet", alias="a", variables=VARIABLES, timeout_s=5)
            errors.append(await failure(call))
        over.set()
        await running
        await client.complete("greet", alias="a", variables=VARIABLES)

    assert {each.reason for each in errors} == {"OVERLOADED"}
    assert len(upstream.exchanges) == 2


@pytest.mark.parametrize("moved", ["", "  - {model_name: c, litellm_params: {model: echo/m}}\n"])
async def test_row_that_is_put_aside(tmp_path: Path, prompts: Path, moved: str) -> None:
    """A row that its provider limits is left alone for its time, wherever it stands by then."""
    async with running_upstream() as limited, running_upstream() as other:
        limited.answer = failing(ALWAYS, "429 Too Many Requests", "Retry-After: 60\r\n")
        rows = """\
  - {model_name: a, litellm_params: {model: one/m, order: 0, num_retries: 1}}
  - {model_name: a, litellm_params: {model: two/m, order: 1, num_retries: 1}}
"""
        head = f"""
{STORES}
providers:
  one: {{dialect: openai, base_url: '{limited.url}', api_key: key-1}}
  two: {{dialect: openai, base_url: '{other.url}', api_key: key-2}}
model_list:
"""
        async with running_service(tmp_path, head + rows) as service:
            await service.client.complete("greet", alias="a", variables=VARIABLES)
            for ttl_s in (1, 2):
                await change(service, tmp_path, head + moved + rows, ttl_s)
                await service.client.complete("greet", alias="a", variables=VARIABLES)
            assert len(limited.exchanges) == 1

            await change(service, tmp_path, head.replace("key-1", "key-3") + moved + rows, 3)
            await service.client.complete("greet", alias="a", variables=VARIABLES)

        assert len(limited.exchanges) == 2


async def test_provider_that_is_down(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """One that is left alone stays so, until it has another key."""
    upstream.answer = failing(ALWAYS)
    config = one(upstream)
    async with running_service(tmp_path, config) as service:

        async def fail() -> str | None:
            call = service.client.complete("greet", alias="a", variables=VARIABLES)
            return (await failure(call)).metadata.get("breaker")

        while await fail() is None:
            pass
        asked = len(upstream.exchanges)
        await change(service, tmp_path, config, 1)
        state = await service.metric('prompt_resolver_upstream_breaker_state{provider="one"}')
        await fail()
        still = len(upstream.exchanges)
        await change(service, tmp_path, one(upstream, key="key-2"), 2)
        told = [await fail() for _ in range(20)]

    assert state == 2
    # It may have been time for a probe.
    assert still - asked <= 1
    assert told == [None] * 20
