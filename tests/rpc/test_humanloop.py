"""Calls whose prompts are in a Humanloop store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure
from tests.support.humanloop import (
    KEY,
    Document,
    HumanloopApi,
    running_humanloop,
    send,
)
from tests.support.service import running_service
from tests.support.upstream import Exchange


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """The API, with a prompt in it."""
    async with running_humanloop() as api:
        api.put(
            "team/greet",
            prompt_id="pr_1",
            template=[{"role": "user", "content": "Hello {{name}}"}],
            provider="mock",
        )
        yield api


def configured(api: HumanloopApi, key: str = KEY) -> str:
    return f"stores:\n  hl: {{type: humanloop, base_url: '{api.url}', api_key: '{key}'}}\n"


NAME = {"name": "Ada"}


async def test_configured(tmp_path: Path, api: HumanloopApi) -> None:
    """A configured store serves prompts, tells what was served, and is asked once."""
    async with running_service(tmp_path, configured(api)) as service:
        first = await service.client.complete("team/greet", variables=NAME)
        again = await service.client.resolve("team/greet", variables=NAME)

    info = first.prompt
    assert first.message.content[0].text == "Hello Ada"
    assert (info.id, info.name, info.store) == ("pr_1", "greet", "hl")
    assert (info.version, info.environment) == ("prv_1", "production")
    assert again.prompt.cache == pb.CACHE_RESULT_HIT
    assert len(api.requests) == 2


async def test_renamed(tmp_path: Path, api: HumanloopApi) -> None:
    """Whoever calls, or watches, is told a new name, although the version stays."""
    # All calls ask.
    config = configured(api).replace("type:", "ttl_s: 0, type:")
    async with running_service(tmp_path, config) as service:
        first = await service.client.resolve("pr_1", variables=NAME)
        watch = service.client.watch("pr_1")
        assert (await anext(watch)).prompt.name == first.prompt.name == "greet"
        api.prompts["pr_1"].path = "team/welcome"
        again = await service.client.resolve("pr_1", variables=NAME)
        assert again.prompt.name == "welcome"
        assert (await anext(watch)).prompt.name == "welcome"
        await watch.aclose()

    assert first.prompt.version == again.prompt.version


@pytest.mark.parametrize("model", [None, "humanloop/auto", "humanloop/echo/other"])
async def test_not_configured(tmp_path: Path, api: HumanloopApi, model: str | None) -> None:
    """The store is there by its variables alone, as a store's name and as a model's prefix."""
    environ = {"HUMANLOOP_API_KEY": KEY, "HUMANLOOP_BASE_URL": f"{api.url}/"}
    async with running_service(tmp_path, environ=environ) as service:
        if model is None:
            response = await service.client.resolve("pr_1", variables=NAME, store="humanloop")
        else:
            response = await service.client.resolve("pr_1", variables=NAME, model=model)
        error = await failure(service.client.resolve("pr_1", variables=NAME))

    assert response.messages[0].content[0].text == "Hello Ada"
    assert response.model == ("other" if model == "humanloop/echo/other" else "some-model")
    assert error.metadata["store"] == "examples"


async def test_alias(tmp_path: Path, api: HumanloopApi) -> None:
    """LiteLLM's configuration of a Humanloop prompt serves it, with nothing more in it."""
    config = """
model_list:
  - model_name: chat
    litellm_params: {model: humanloop/echo/m, prompt_id: pr_1}
"""
    environ = {"HUMANLOOP_API_KEY": KEY, "HUMANLOOP_BASE_URL": api.url}
    async with running_service(tmp_path, config, environ) as service:
        response = await service.client.complete(alias="chat", variables=NAME)

    assert (response.message.content[0].text, response.prompt.store) == ("Hello Ada", "humanloop")


@pytest.mark.parametrize("wrong", [{"id": "pr_9"}, {"path": "team/other", "id": "pr_9"}])
async def test_another_prompt_than_asked_for(
    tmp_path: Path, api: HumanloopApi, wrong: Document
) -> None:
    """What is held is served on while the store answers with something else than was asked for."""
    prompt = api.put("team/greet", prompt_id="pr_1", to="staging", template="Hello {{name}}")
    async with running_service(tmp_path, configured(api)) as service:
        await service.client.resolve("pr_1", variables=NAME, environment="staging")
        prompt.versions["prv_1"] |= {"template": "Bye", **wrong}
        held = await service.client.resolve(
            "pr_1", variables=NAME, environment="staging", refresh=True
        )

    assert (held.messages[0].content[0].text, held.prompt.stale) == ("Hello Ada", True)


async def test_no_key(tmp_path: Path) -> None:
    """Without a key the service starts, and a call is told what to set. Empty is unset."""
    environ = {"HUMANLOOP_API_KEY": "", "HUMANLOOP_BASE_URL": ""}
    async with running_service(tmp_path, environ=environ) as service:
        error = await failure(service.client.resolve("pr_1", store="humanloop"))

    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "STORE_AUTH")
    assert "set stores.humanloop.api_key or HUMANLOOP_API_KEY" in error.message


async def test_whose_key(tmp_path: Path, api: HumanloopApi) -> None:
    """A refused key of ours is our precondition, a caller's is the caller's to prove."""
    async with running_service(tmp_path, configured(api, key="wrong")) as service:
        ours = await failure(service.client.resolve("pr_1", variables=NAME))
        theirs = await failure(
            service.client.resolve(
                "pr_1", variables=NAME, credentials={"x-prompt-store-key": "bad"}
            )
        )
        response = await service.client.resolve(
            "pr_1", variables=NAME, credentials={"x-prompt-store-key": KEY}
        )

    assert (ours.code.name, ours.reason) == ("FAILED_PRECONDITION", "STORE_AUTH")
    assert (theirs.code.name, theirs.reason) == ("UNAUTHENTICATED", "STORE_AUTH")
    assert response.prompt.id == "pr_1"


async def test_key_that_rotates(tmp_path: Path, api: HumanloopApi) -> None:
    """A key in a file is read again when the file changes."""
    key = tmp_path / "key"
    key.write_text("old-and-longer-key\n")
    async with running_service(tmp_path, configured(api, key=f"file:{key}")) as service:
        await failure(service.client.resolve("pr_1", variables=NAME))
        key.write_text(f"{KEY}\n")
        response = await service.client.resolve("pr_1", variables=NAME)

    assert response.prompt.id == "pr_1"


async def test_wait_is_told(tmp_path: Path, api: HumanloopApi) -> None:
    """A store that is busy is unavailable for as long as it says, which the client waits."""

    async def busy(exchange: Exchange) -> None:
        await send(exchange, {}, status="429 Too Many Requests", headers="Retry-After: 1\r\n")

    api.fail = busy
    async with running_service(tmp_path, configured(api)) as service:
        error = await failure(service.client.resolve("pr_1", variables=NAME, timeout_s=20))

    assert (error.code.name, error.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    assert len(api.requests) == 3
    assert error.retry_after_s == 1.0


async def test_jinja(tmp_path: Path, api: HumanloopApi) -> None:
    """A prompt whose language is Jinja2 is rendered as such."""
    version = api.prompts["pr_1"].versions["prv_1"]
    version["template_language"] = "jinja"
    version["template"] = [{"role": "user", "content": "{{ name|upper }}{{ ', you' if name }}"}]
    async with running_service(tmp_path, configured(api)) as service:
        response = await service.client.resolve("pr_1", variables=NAME)

    assert response.messages[0].content[0].text == f"{NAME['name'].upper()}, you"


async def test_language_that_is_not_rendered(tmp_path: Path, api: HumanloopApi) -> None:
    """A prompt in another template language is its author's to change."""
    api.prompts["pr_1"].versions["prv_1"]["template_language"] = "mustache"
    async with running_service(tmp_path, configured(api)) as service:
        error = await failure(service.client.resolve("pr_1", variables=NAME))

    assert (error.code.name, error.metadata["store"]) == ("FAILED_PRECONDITION", "hl")
