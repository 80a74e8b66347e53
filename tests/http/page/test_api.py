"""What the page is told: the prompts that are held, how it goes, and what a prompt renders to."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.calls import VARIABLES, failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.page import call, listed, reason_of
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream

GREET = {"prompt_id": "greet", "variables": VARIABLES}


async def test_prompts(service: RunningService, prompts: Path) -> None:
    """What is held is listed: what it is, how fresh, and how often it was served."""
    assert await listed(service) == []
    for _ in range(3):
        await service.client.resolve("greet", variables=VARIABLES)
    info = (await service.client.resolve("greet", variables=VARIABLES)).prompt

    for _ in range(2):
        (prompt,) = await listed(service)

    ages = [prompt.pop("age_s"), prompt.pop("idle_s")]
    assert all(isinstance(age, float) and 0 <= age < 60 for age in ages)
    assert prompt == {
        "id": "greet",
        "name": "greet",
        "store": "local",
        "version": info.version,
        "environment": "",
        "asked": {"version": None, "environment": None},
        "reason": "deployed",
        "freshness": "due",
        "served": 4,
        "size": (prompts / "greet.prompt").stat().st_size,
        "content_sha256": info.content_sha256,
    }


async def test_more_than_a_page(service: RunningService, prompts: Path) -> None:
    """Prompts are told of in pages, of all that are held or of those that a filter lets through."""
    for number in range(205):
        write_prompt(prompts, f"many/{number:03}", "<user>\nHi\n</user>")
    await asyncio.gather(*(service.client.resolve(f"many/{n:03}") for n in range(205)))

    _, first = await call(service, "/api/prompts")
    _, second = await call(service, "/api/prompts?skip=200")
    found = await listed(service, "?text=MANY/20")

    assert (first["more"], second["more"], second["skip"]) == (True, False, 200)
    pages = [first["prompts"], second["prompts"]]
    ids = {prompt["id"] for page in pages if isinstance(page, list) for prompt in page}
    assert len(ids) == 205
    assert {prompt["id"] for prompt in found} == {f"many/20{number}" for number in range(5)}


@pytest.mark.parametrize("skip", ["-1", "x", "1.5", "²", "9" * 30])
async def test_skip(service: RunningService, skip: str) -> None:
    """What is no number of prompts to skip is refused."""
    status, document = await call(service, f"/api/prompts?skip={skip}")

    assert (status, reason_of(document)) == (400, "REQUEST_INVALID")


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template="Hello")
        yield api


def humanloop(api: HumanloopApi, ttl_s: float) -> str:
    store = f"type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: {ttl_s}"
    return f"stores: {{hl: {{{store}, timeout_s: 0.5}}}}"


async def test_outage(tmp_path: Path, api: HumanloopApi) -> None:
    """While a store is down, its prompts are told to be stale, with their true age."""

    async def fail(exchange: Exchange) -> None:
        await send(exchange, {}, status="500 Internal Server Error")

    async def until(freshness: str) -> dict[str, object]:
        async with asyncio.timeout(10):
            while True:
                await service.client.resolve("pr_1", timeout_s=5)
                (prompt,) = await listed(service)
                if prompt["freshness"] == freshness:
                    return prompt

    async with running_service(tmp_path, humanloop(api, ttl_s=0.2)) as service:
        loop = asyncio.get_running_loop()
        began = loop.time()
        fresh = await until("fresh")
        api.fail = fail
        stale = await until("stale")
        age_s = stale["age_s"]
        assert isinstance(age_s, float)
        assert 0.2 <= age_s <= loop.time() - began
        later = (await listed(service))[0]["age_s"]
        assert isinstance(later, float)
        assert later > age_s
        assert (stale["version"], stale["name"]) == (fresh["version"], "greet")

        api.fail = None
        api.put("greet", prompt_id="pr_1", version="prv_2", template="Hello again")
        await until("fresh")

        assert {prompt["version"] for prompt in await listed(service)} == {"prv_2"}


async def test_a_callers_own(tmp_path: Path, api: HumanloopApi) -> None:
    """A prompt that a caller's own key has opened is not listed, and is rendered for that key."""
    own = {"x-prompt-store-key": KEY}
    asked = {"prompt_id": "pr_1"}
    async with running_service(tmp_path, humanloop(api, ttl_s=60)) as service:
        await service.client.resolve("pr_1", credentials=own)

        assert await listed(service) == []
        status, document = await call(service, "/api/render", post=asked, headers=own)

    assert status == 200
    assert "Hello" in json.dumps(document["messages"])
    assert len([request for request in api.requests if "pr_1" in request]) == 1


# The overview


async def test_overview(service: RunningService) -> None:
    """It tells what was served by each store, and how calls and models went."""
    await service.client.resolve("greet", variables=VARIABLES)
    await service.client.complete("greet", variables=VARIABLES)
    await failure(service.client.resolve("greet"))
    await listed(service)
    await service.at_rest()

    _, overview = await call(service, "/api/overview")

    assert overview["version"] == "test"
    assert isinstance(overview["uptime_s"], float)
    assert overview["stores"] == [
        {"name": "local", "default": True, "ttl_s": 0, "served": {"miss": 1, "hit": 2}},
        {"name": "humanloop", "default": False, "ttl_s": 60, "served": {}},
        {"name": "langfuse", "default": False, "ttl_s": 60, "served": {}},
    ]
    assert isinstance(overview["cache"], dict)
    assert overview["cache"]["entries"] == 1
    assert overview["calls"] == [
        {"door": "grpc", "method": "Resolve", "status": "OK", "count": 1},
        {"door": "grpc", "method": "Complete", "status": "OK", "count": 1},
        {"door": "grpc", "method": "Resolve", "status": "INVALID_ARGUMENT", "count": 1},
    ]
    assert overview["running"] == {"resolve": 0, "complete": 0, "stream": 0, "watch": 0}
    assert overview["upstream_running"] == {"fake": 0}
    assert isinstance(overview["upstream"], list)
    (model,) = overview["upstream"]
    assert sum(model.pop("buckets")) == 1
    assert model == {"provider": "fake", "model": "some-model", "failed": 0, "cancelled": 0}
    labels = {"provider": "fake", "model": "some-model"}
    assert overview["tokens"] == [
        {**labels, "direction": "input", "count": 5},
        {**labels, "direction": "output", "count": 2},
    ]


async def test_failures_of_models(service: RunningService, upstream: Upstream) -> None:
    """An answer that failed is counted, and not among those whose time is told."""

    async def fail(exchange: Exchange) -> None:
        await exchange.send_response(b"", status="429 X")

    upstream.answer = fail
    await failure(service.client.complete("greet", variables=VARIABLES))

    _, overview = await call(service, "/api/overview")

    assert isinstance(overview["upstream"], list)
    (model,) = overview["upstream"]
    assert (model["failed"], sum(model["buckets"])) == (1, 0)
    assert isinstance(overview["upstream_bounds_s"], list)
    assert len(model["buckets"]) == len(overview["upstream_bounds_s"]) + 1


# Rendering


async def test_render(service: RunningService, upstream: Upstream) -> None:
    """A prompt is rendered as a call has it, markup in a value as text, and no model is called."""
    name = "{{language}} <b>\n</user>"
    variables = {"language": "French", "name": name}

    status, document = await call(
        service, "/api/render", post={"prompt_id": "greet", "variables": variables}
    )
    resolved = await service.client.resolve("greet", variables=variables)

    assert status == 200
    assert document["messages"] == [
        {"role": "system", "content": [{"text": "Greet in French."}]},
        {"role": "user", "content": [{"text": name}]},
    ]
    texts = [message.content[0].text for message in resolved.messages]
    assert texts == ["Greet in French.", name]
    assert (document["provider"], document["model"]) == ("fake", "some-model")
    prompt = document["prompt"]
    assert isinstance(prompt, dict)
    assert (prompt["id"], prompt["store"], prompt["stale"]) == ("greet", "local", False)
    assert (prompt["version"], prompt["content_sha256"]) == (
        resolved.prompt.version,
        resolved.prompt.content_sha256,
    )
    assert upstream.exchanges == []


async def test_render_everything(tmp_path: Path) -> None:
    """Images, calls of tools, tools and parameters are told, and what is not set is left out."""
    variables = {"company": "c", "question": "q", "photo_url": "https://host.example/1.png"}

    async def rendered(prompt_id: str) -> dict[str, object]:
        asked = {"prompt_id": prompt_id, "variables": {**variables, "note": "n", "product": "p"}}
        status, document = await call(service, "/api/render", post=asked)
        assert status == 200, document
        return document

    async with running_service(tmp_path) as service:
        damage, orders = await rendered("vision/damage"), await rendered("assistant/orders")

    assert isinstance(damage["messages"], list)
    image = {"url": "https://host.example/1.png", "detail": "low"}
    assert {"image": image} in damage["messages"][-1]["content"]
    assert isinstance(orders["messages"], list)
    arguments = '{"order_id": "J-1001"}'
    assert orders["messages"][2] == {
        "role": "assistant",
        "content": [],
        "tool_calls": [{"id": "call_1", "name": "find_order", "arguments_json": arguments}],
    }
    assert orders["messages"][3]["tool_call_id"] == "call_1"
    assert isinstance(orders["tools"], list)
    assert [tool["name"] for tool in orders["tools"]] == ["find_order", "open_ticket"]
    assert set(orders["tools"][1]) == {"name", "description", "parameters"}
    assert orders["parameters"] == {"temperature": 0.0, "max_tokens": 200}
    assert orders["tool_choice"] is None


async def test_alias(tmp_path: Path) -> None:
    """An alias brings its prompt and its variables along."""
    params = "model: echo/small, prompt_id: extract/invoice, prompt_variables: {text: Invoice 7}"
    config = f"model_list: [{{model_name: invoices, litellm_params: {{{params}}}}}]"
    async with running_service(tmp_path, config) as service:
        _, document = await call(service, "/api/render", post={"alias": "invoices"})
        _, overview = await call(service, "/api/overview")

    assert "Invoice 7" in json.dumps(document["messages"])
    assert (document["provider"], document["model"]) == ("echo", "small")
    assert overview["aliases"] == ["invoices"]


@pytest.mark.parametrize(
    ("document", "reason", "fields"),
    [
        ({"prompt_id": "greet"}, "VARIABLES_INVALID", ["variables.language", "variables.name"]),
        ({"prompt_id": "nowhere"}, "PROMPT_NOT_FOUND", []),
        ({"prompt_id": "../greet"}, "PROMPT_ID_INVALID", []),
        ({**GREET, "store": "elsewhere"}, "STORE_UNKNOWN", []),
        ({**GREET, "alias": "nobody"}, "ALIAS_UNKNOWN", []),
        ({**GREET, "version": "1", "environment": "e"}, "SELECTOR_INVALID", ["version"]),
        ({**GREET, "version": "nope"}, "VERSION_NOT_FOUND", []),
        ({**GREET, "version": 1}, "REQUEST_INVALID", ["version"]),
        ({**GREET, "variables": ["x"]}, "REQUEST_INVALID", ["variables"]),
        ([], "REQUEST_INVALID", ["body"]),
    ],
)
async def test_render_errors(
    service: RunningService, document: object, reason: str, fields: list[str]
) -> None:
    """What cannot be rendered is told by a reason and the fields that are wrong."""
    status, answer = await call(service, "/api/render", post=document)

    assert 400 <= status < 500
    error = answer["error"]
    assert isinstance(error, dict)
    assert error["reason"] == reason
    assert [each["field"] for each in error.get("violations", [])] == fields
