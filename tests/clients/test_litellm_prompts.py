"""LiteLLM itself has its prompts from the door: its own client, and its proxy."""

import asyncio
import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.litellm_proxy import find_litellm
from bench.processes import running

from tests.support.http import HttpDoor
from tests.support.ports import find_port
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai

SCRIPT = Path(__file__).with_name("litellm_prompts.py")
TOKEN = "token-of-proxy"
VALUES = {"name": "Ada", "place": 'the "moon" {literally} %s \\1'}

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(300)]


@pytest.fixture
def proxy(require_all: bool) -> Path:
    """LiteLLM's command with its proxy. It is 740 MB, so `make test` does not see to it."""
    command = find_litellm()
    if command is None:
        report = pytest.fail if require_all else pytest.skip
        report("not installed: LiteLLM's proxy; make bench-peers sees to it")
    return command


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    """The service over a directory, for one caller."""
    root = tmp_path / "prompts"
    write_prompt(
        root,
        "team/greet",
        "<system>\nFrom {{ place }}.\n</system>\n<user>\nI am {{name}}: {} {x} {{{name}}}\n</user>",
        model="gpt-4o-mini",
        provider="openai",
        temperature=0.5,
        stop=["END"],
        tools=[{"name": "f", "description": "Find", "parameters": {"type": "object"}}],
    )
    write_prompt(root, "text", "Say {{name}}", endpoint="complete", model=None, provider=None)
    config = f"""
stores: {{local: {{type: directory, path: {root}}}}}
providers: {{fake: {{dialect: openai, base_url: 'http://127.0.0.1:1'}}}}
callers: {{proxy: {{token: {TOKEN}}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def fill_in(
    litellm: Path,
    service: RunningService,
    cases: Sequence[tuple[str, object]],
    query: object = None,
    token: str = TOKEN,
) -> list[Any]:
    """Have LiteLLM's client fetch some prompts and fill them in."""
    told = json.dumps(query or {}), json.dumps(cases)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [litellm, SCRIPT, service.http_url, token, *told],
            env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return results


async def test_filled_in(litellm: Path, service: RunningService) -> None:
    """What LiteLLM fills in is what is rendered here, with the template's model and parameters."""
    (greet, text) = await fill_in(litellm, service, [("team/greet", VALUES), ("text", VALUES)])

    model, messages, parameters = greet
    assert model == "gpt-4o-mini"
    assert messages == [
        {"role": "system", "content": f"From {VALUES['place']}."},
        {"role": "user", "content": "I am Ada: {} {x} {Ada}"},
        {"role": "user", "content": "And more"},
    ]
    assert parameters == {
        "temperature": 0.5,
        "stop": ["END"],
        "user": "u",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "Find",
                    "parameters": {"type": "object"},
                },
            }
        ],
    }
    assert text[0] == "callers-model"
    assert text[1][0] == {"role": "user", "content": "Say Ada"}


async def test_selected(litellm: Path, service: RunningService, tmp_path: Path) -> None:
    """A version is chosen by the id, or by the parameters that LiteLLM adds to every request."""
    content = (tmp_path / "prompts" / "text.prompt").read_bytes()
    version = hashlib.sha256(content).hexdigest()[:12]

    told = await fill_in(litellm, service, [(f"text@{version}", VALUES), ("text@nope", VALUES)])
    (pinned,) = await fill_in(litellm, service, [("text", VALUES)], {"version": version})

    assert told[0] == pinned
    assert isinstance(told[1], str)


async def test_errors(litellm: Path, service: RunningService) -> None:
    """A prompt that is not there, or a wrong token, is an error to LiteLLM."""
    (absent,) = await fill_in(litellm, service, [("nowhere", VALUES)])
    (refused,) = await fill_in(litellm, service, [("text", VALUES)], token="wrong")

    assert "404" in absent
    assert "401" in refused


async def answer_proxy(exchange: Exchange) -> None:
    """Answer as a provider does; the proxy also asks it for its models."""
    if exchange.method == "GET":
        await exchange.send_response(b'{"object": "list", "data": []}')
    else:
        await answer_openai(exchange)


async def test_proxy(
    proxy: Path, service: RunningService, upstream: Upstream, tmp_path: Path
) -> None:
    """LiteLLM's proxy sends a model what the door's prompt says."""
    upstream.answer = answer_proxy
    key = secrets.token_hex(16)
    name = "gpt-4o-mini"
    target = {"model": f"openai/{name}", "api_base": upstream.url, "api_key": "none"}
    prompt = {
        "prompt_integration": "generic_prompt_management",
        "prompt_id": "team/greet",
        "api_base": service.http_url,
        "api_key": "os.environ/DOOR_TOKEN",
        "provider_specific_query_params": {"store": "local"},
    }
    config = {
        "model_list": [{"model_name": name, "litellm_params": target}],
        "prompts": [{"prompt_id": "desk", "litellm_params": prompt}],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": key},
    }
    path = tmp_path / "litellm.yaml"
    path.write_text(json.dumps(config))
    port = find_port()
    command = (str(proxy), "--config", str(path), "--host", "127.0.0.1", "--port", str(port))
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "DOOR_TOKEN": TOKEN}
    async with running(*command, environ=environ, port=port) as process:
        door = HttpDoor(f"http://{process.address}", {"Authorization": f"Bearer {key}"})
        reply = await door.chat(model=name, prompt_id="desk", prompt_variables=VALUES, messages=[])

    (exchange,) = [each for each in upstream.exchanges if each.method == "POST"]
    assert reply.status == 200
    assert exchange.json["messages"] == [
        {"role": "system", "content": f"From {VALUES['place']}."},
        {"role": "user", "content": "I am Ada: {} {x} {Ada}"},
    ]
    assert (exchange.json["model"], exchange.json["temperature"]) == (name, 0.5)
