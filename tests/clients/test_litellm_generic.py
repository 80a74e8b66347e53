"""LiteLLM's client and the `litellm_generic` store read the same, of a stand-in and of our door."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prompt_resolver import AsyncPromptResolverClient
from prompt_resolver_server.domain.prompts import Message, PromptRef, Text
from prompt_resolver_server.providers.dialects.openai.messages import write_message
from prompt_resolver_server.providers.dialects.openai.parameters import write_all
from prompt_resolver_server.providers.dialects.openai.request import write_tool
from prompt_resolver_server.settings.secrets import FixedSecret
from prompt_resolver_server.templates.litellm_generic import (
    LiteLLMGenericSettings,
    LiteLLMGenericStore,
)
from prompt_resolver_server.templates.web import WebClient
from tests.support.litellm_generic import KEY, running_generic
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service

SCRIPT = Path(__file__).with_name("litellm_prompts.py")

TOOL = {"type": "function", "function": {"name": "f", "description": "Find"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    {"role": "system", "content": "From {place}: {} {literal} {{doubled}}"},
    {"role": "user", "content": [{"type": "text", "text": "Is this ours?"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "found", "tool_call_id": "c1"},
]
PARAMETERS = {"temperature": 0.5, "stop": ["END"], "logit_bias": {"50256": -100}, "tools": [TOOL]}


def make_store(url: str, **settings: object) -> LiteLLMGenericStore:
    given = {"api_base": url, "api_key": FixedSecret(KEY), **settings}
    client = WebClient(name="g", base_url=url, timeout_s=5, tls=ssl.create_default_context())
    return LiteLLMGenericStore(
        LiteLLMGenericSettings.model_validate(given), name="g", client=client
    )


async def read_with_litellm(litellm: Path, url: str, prompt_id: str) -> Any:
    query, cases = json.dumps({"project": "shop"}), json.dumps([(prompt_id, {})])
    done = await asyncio.to_thread(
        subprocess.run,
        (litellm, SCRIPT, url, KEY, query, cases),
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])[0]


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_reads_the_same(litellm: Path) -> None:
    """The store sends the request that LiteLLM sends, and takes the same from the answer."""
    async with running_generic() as api:
        api.put("desk", *MESSAGES, model="gpt-4o", optional_params=PARAMETERS)
        store = make_store(api.url, query={"project": "shop"})

        model, messages, parameters = await read_with_litellm(litellm, api.url, "desk")
        template = await store.fetch(PromptRef(id="desk"), None)
        await store.aclose()

        theirs, ours = api.queries
        sent = [exchange.headers["authorization"] for exchange in api.exchanges]
    assert theirs == ours
    assert sent == [f"Bearer {KEY}"] * 2
    assert template.model == model
    # LiteLLM's come with the call's own behind them.
    written = [write_message(each, "") for each in template.messages]
    assert written == MESSAGES == messages[:-1]
    tools = [write_tool(tool) for tool in template.tools]
    assert {**write_all(template.parameters), "tools": tools} == {
        name: value for name, value in parameters.items() if name != "user"
    }


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[RunningService]:
    """The service over a directory, for one caller."""
    root = tmp_path / "prompts"
    write_prompt(
        root,
        "team/greet",
        "<system>\nFrom {{ place }}.\n</system>\n<user>\nI am {{name}}\n</user>",
        model="m",
        provider="fake",
        temperature=0.5,
        reasoning_effort=1024,
        other={"logit_bias": {"50256": -100}},
        tools=[{"name": "f", "description": "Find", "parameters": {"type": "object"}}],
    )
    config = f"""
stores: {{local: {{type: directory, path: {root}}}}}
callers: {{store: {{token: {KEY}}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def test_own_door(door: RunningService) -> None:
    """Our own door is a store to another service: what it serves arrives whole."""
    store = make_store(door.http_url, version_parameter="version")
    variables = {"place": "{place}", "name": "{name}"}
    async with AsyncPromptResolverClient(door.address, token=KEY) as client:
        origin = await client.resolve("team/greet", variables=variables)

    template = await store.fetch(PromptRef(id="team/greet"), None)
    pinned = await store.fetch(PromptRef(id="team/greet", version=origin.prompt.version), template)
    await store.aclose()

    assert template.messages == (
        Message(role="system", content=(Text("From {place}."),)),
        Message(role="user", content=(Text("I am {name}"),)),
    )
    assert template.model == f"{origin.provider}/{origin.model}"
    assert template.parameters.temperature == origin.parameters.temperature
    assert template.parameters.reasoning_effort == origin.parameters.reasoning_effort == "1024"
    assert template.parameters.extra == {"logit_bias": {"50256": -100}}
    assert [tool.name for tool in template.tools] == [tool.name for tool in origin.tools]
    assert pinned is template
