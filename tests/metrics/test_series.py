"""However many names callers make up, the metrics have as many series as before."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver_server.rpc.server import SERVICE
from tests.support.calls import VARIABLES, collect
from tests.support.http import HttpDoor
from tests.support.humanloop import KEY, running_humanloop
from tests.support.raw import call_unary, open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream

_SERIES = re.compile(r"^([a-z_]+(?:\{[^}]*\})?) ", re.MULTILINE)
_NAMES = 30


@pytest.fixture
async def service(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> AsyncIterator[RunningService]:
    async with running_humanloop() as api:
        config = f"""
default_store: local
stores:
  local: {{type: directory, path: {prompts}}}
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}
model_list:
  - model_name: known
    litellm_params: {{model: fake/known-model, prompt_id: greet}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}}}
"""
        async with running_service(tmp_path, config) as running:
            yield running


async def call_by(service: RunningService, name: str) -> None:
    """Call with a made-up name in each of the places that may have one."""
    # Each of them may be refused, whatever for.
    client = service.client
    for call in (
        client.resolve(name),
        client.resolve(name, store="hl"),
        client.resolve("greet", store=name),
        client.resolve("greet", version=name),
        client.resolve("greet", environment=name),
        client.resolve(alias=name),
        client.resolve("greet", variables={name: name}),
        client.complete("greet", variables=VARIABLES, model=name),
        client.complete("greet", variables=VARIABLES, model=f"{name}/m"),
        client.complete("greet", variables=VARIABLES, model=f"fake/{name}"),
        client.complete(alias="known", variables=VARIABLES, model=f"fake/{name}"),
        client.complete("greet", variables=VARIABLES, labels={name: name}),
        collect(client, model=f"fake/{name}"),
    ):
        with suppress(PromptResolverError):
            await call
    async with open_channel(service.address) as channel:
        for of_service, method in ((SERVICE, name), (name, "Resolve")):
            with suppress(grpc.aio.AioRpcError):
                await call_unary(channel, of_service, method, b"")
    for door in (HttpDoor(service.http_url), HttpDoor(service.admin_url)):
        for path in (f"/{name}", f"/v1/{name}", f"/v5/prompts/{name}", f"/v1/models/{name}"):
            await door.get(path, **{f"x-{name}": name})
        await door.send(name.upper(), "/v1/chat/completions", b"{}")
        await door.chat(model=name)


async def series(service: RunningService) -> set[str]:
    await service.at_rest()
    return set(_SERIES.findall(await service.metrics()))


async def test_names_of_callers(service: RunningService) -> None:
    """A name that only a caller has said is no label of any metric, and makes no series."""
    await call_by(service, "unheard-of")
    known = await series(service)
    for number in range(_NAMES):
        await call_by(service, f"made-up-{number}")
    then = await series(service)

    assert {
        name for name in then if "made-up" in name.lower() or "unheard" in name.lower()
    } == set()
    assert then == known
    assert len(known) > 100
