"""The HTTP door serves prompts to LiteLLM's proxy."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.http import HttpAnswer, HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service

TOKEN = "token-of-proxy"


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """Humanloop's API, with a prompt in two versions."""
    async with running_humanloop() as api:
        api.put("Team/Hi", prompt_id="pr_1", version="prv_1", to="staging", template="old {{x}}")
        api.put("Team/Hi", prompt_id="pr_1", version="prv_2", template="new {{x}}")
        yield api


@pytest.fixture
async def service(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over that API and a directory, for one caller."""
    write_prompt(tmp_path, "greet", "<user>\nHello {{name}}\n</user>", temperature=0.5)
    write_prompt(tmp_path, "at@home", "<user>\nHello\n</user>")
    write_prompt(tmp_path, "image", '<user>\n<image url="https://{{host}}/x.png" />\n</user>')
    config = f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}
  local: {{type: directory, path: .}}
callers: {{proxy: {{token: {TOKEN}}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def get(service: RunningService, query: dict[str, str], **headers: str) -> HttpAnswer:
    door = HttpDoor(service.http_url, {"Authorization": f"Bearer {TOKEN}"})
    return await door.get(f"/beta/litellm_prompt_management?{urlencode(query)}", **headers)


async def test_prompt(service: RunningService) -> None:
    """A prompt is told with its model and parameters, and its variables in single braces."""
    reply = await get(service, {"prompt_id": "greet", "store": "local"})

    assert reply.value == {
        "prompt_id": "greet",
        "prompt_template": [{"role": "user", "content": "Hello {name}"}],
        "prompt_template_model": "fake/some-model",
        "prompt_template_optional_params": {"temperature": 0.5},
    }
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-prompt-id"] == "greet"


async def test_id_with_an_at(service: RunningService, tmp_path: Path) -> None:
    """An id that has an `@` in it goes with a selector, behind it or beside it."""
    version = hashlib.sha256((tmp_path / "at@home.prompt").read_bytes()).hexdigest()
    local = {"prompt_id": "at@home", "store": "local"}
    alone = await get(service, local)

    assert (alone.status, alone.value["error"]["metadata"]["id"]) == (404, "at")
    assert (await get(service, {**local, "prompt_id": f"at@home@{version}"})).status == 200
    assert (await get(service, {**local, "version": version})).status == 200


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"prompt_id": "pr_1"}, "new {x}"),
        ({"prompt_id": "Team/Hi"}, "new {x}"),
        ({"prompt_id": "pr_1@prv_1"}, "old {x}"),
        ({"prompt_id": "Team/Hi@prv_1"}, "old {x}"),
        ({"prompt_id": "pr_1#staging"}, "old {x}"),
        ({"prompt_id": "Team/Hi#production"}, "new {x}"),
        ({"prompt_id": "pr_1", "version": "prv_1"}, "old {x}"),
        ({"prompt_id": "pr_1", "environment": "staging"}, "old {x}"),
        ({"prompt_id": "pr_1", "label": "staging"}, "old {x}"),
        ({"prompt_id": "pr_1", "label": "staging", "environment": "staging"}, "old {x}"),
        ({"prompt_id": "pr_1", "project": "shop"}, "new {x}"),
    ],
)
async def test_selectors(service: RunningService, query: dict[str, str], text: str) -> None:
    """A version or an environment is named in the id, or beside it."""
    reply = await get(service, query)

    assert reply.status == 200
    assert reply.value["prompt_template"] == [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ({}, 400, "REQUEST_INVALID"),
        ({"prompt_id": ""}, 400, "REQUEST_INVALID"),
        ({"prompt_id": "pr_1@"}, 400, "SELECTOR_INVALID"),
        ({"prompt_id": "pr_1#"}, 400, "SELECTOR_INVALID"),
        ({"prompt_id": "@prv_1"}, 400, "PROMPT_ID_INVALID"),
        ({"prompt_id": "pr_1", "version": "1", "label": "x"}, 400, "SELECTOR_INVALID"),
        ({"prompt_id": "pr_1", "version": "x", "environment": "x"}, 400, "SELECTOR_INVALID"),
        ({"prompt_id": "pr_1", "environment": "a", "label": "b"}, 400, "SELECTOR_INVALID"),
        ({"prompt_id": "pr_1", "version": ""}, 400, "REQUEST_INVALID"),
        ({"prompt_id": "pr_1", "store": "nowhere"}, 400, "STORE_UNKNOWN"),
        ({"prompt_id": "image", "store": "local"}, 400, "TEMPLATE_INVALID"),
        ({"prompt_id": "pr_1@nope"}, 404, "VERSION_NOT_FOUND"),
        ({"prompt_id": "pr_1#nope"}, 404, "VERSION_NOT_FOUND"),
        ({"prompt_id": "nowhere"}, 404, "PROMPT_NOT_FOUND"),
    ],
)
async def test_errors(
    service: RunningService, query: dict[str, str], status: int, reason: str
) -> None:
    """What cannot be served is told by a status and a reason."""
    reply = await get(service, query)

    assert (reply.status, reply.value["error"]["reason"]) == (status, reason)


async def test_token(service: RunningService) -> None:
    """Only those may read who bring a token."""
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        assert (await get(service, {"prompt_id": "pr_1"}, **headers)).status == 401


async def test_keys_of_the_store(service: RunningService, api: HumanloopApi) -> None:
    """A caller's own key of the store reaches the store, and opens nothing to anybody else."""
    own = {"x-prompt-store-key": "key-of-other"}

    assert (await get(service, {"prompt_id": "pr_1"})).status == 200
    assert (await get(service, {"prompt_id": "pr_1"}, **own)).status == 401
    assert (await get(service, {"prompt_id": "pr_1"})).status == 200
    assert [each.headers["x-api-key"] for each in api.exchanges] == [KEY, "key-of-other"]
