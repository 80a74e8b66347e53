"""Calls whose prompts are in an export of Humanloop's."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.stores import build_stores
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import failure
from tests.support.humanloop import HumanloopApi
from tests.support.humanloop_export import write_export
from tests.support.service import RunningService, running_service

CONFIG = "stores: {old: {type: humanloop_export, path: exports}}"
NAME = {"name": "Ada"}


@pytest.fixture
def api() -> HumanloopApi:
    """What the exports are of."""
    api = HumanloopApi()
    put(api, "prv_1", "Hi {{name}}", to="staging")
    put(api, "prv_2", "Hello {{name}}")
    return api


def put(api: HumanloopApi, version: str, text: str, to: str = "production") -> None:
    template = [{"role": "user", "content": text}]
    prompt = api.put("team/greet", prompt_id="pr_1", version=version, to=to, template=template)
    prompt.versions[version]["provider"] = "mock"


@pytest.fixture
async def service(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over a folder with one export in it."""
    write_export(tmp_path / "exports" / "20250601-120000", api.prompts.values())
    async with running_service(tmp_path, CONFIG) as running:
        yield running


async def test_serves(service: RunningService) -> None:
    """A prompt is completed by its path, in the version that is deployed by default."""
    response = await service.client.complete("team/greet", variables=NAME)

    info = response.prompt
    assert response.message.content[0].text == "Hello Ada"
    assert (info.id, info.name, info.store) == ("pr_1", "greet", "old")
    assert (info.version, info.environment, info.reason) == ("prv_2", "production", "deployed")


async def test_selects(service: RunningService) -> None:
    """A version and an environment are honoured, and an unknown one is told what there is."""
    pinned = await service.client.resolve("pr_1", version="prv_1", variables=NAME)
    staged = await service.client.resolve("pr_1", environment="staging", variables=NAME)
    error = await failure(service.client.resolve("pr_1", environment="qa", variables=NAME))

    assert (pinned.prompt.reason, pinned.prompt.version) == ("pinned", "prv_1")
    assert (staged.prompt.environment, staged.messages[0].content[0].text) == ("staging", "Hi Ada")
    assert (error.code.name, error.reason) == ("NOT_FOUND", "VERSION_NOT_FOUND")
    assert "'production' ('prv_2'), 'staging' ('prv_1')" in error.message


async def test_new_export(service: RunningService, tmp_path: Path, api: HumanloopApi) -> None:
    """A newer export is served by the next call."""
    first = await service.client.resolve("pr_1", variables=NAME)
    put(api, "prv_3", "Good day {{name}}")
    write_export(tmp_path / "exports" / "20250701-120000", api.prompts.values())

    second = await service.client.resolve("pr_1", variables=NAME)

    assert (first.prompt.version, second.prompt.version) == ("prv_2", "prv_3")
    assert second.prompt.cache == pb.CACHE_RESULT_MISS


async def test_broken_prompt_harms_only_itself(service: RunningService, tmp_path: Path) -> None:
    """A version that is broken is its own prompt's failure, while it was never served."""
    path = tmp_path / "exports" / "20250601-120000" / "files" / "pr_1" / "versions" / "prv_2"
    path.write_text("{}")

    error = await failure(service.client.resolve("pr_1", variables=NAME))
    other = await service.client.resolve("pr_1", version="prv_1", variables=NAME)

    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "TEMPLATE_INVALID")
    assert other.prompt.version == "prv_1"


@pytest.mark.parametrize(
    ("path", "problem"),
    [("nowhere", "nothing there"), ("config.yaml", "a file"), ("x" * 300, "what is no path")],
)
def test_path_that_is_no_folder(tmp_path: Path, path: str, problem: str) -> None:
    """A path that is no folder is a fault of the configuration."""
    config = tmp_path / "config.yaml"
    config.write_text(f"stores: {{old: {{type: humanloop_export, path: {path}}}}}")

    loaded = load_configuration(config, {})

    with pytest.raises(ConfigError, match=f"stores.old.path: expected a directory, got {problem}"):
        build_stores(loaded, ssl.create_default_context())
