"""What LiteLLM's page on Humanloop shows, done with this program in place of the proxy.

The store and the model's address come from the environment; the model is a real one.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from tests.support.completion import Scene, store_environ
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.service import ServiceProcess, running_service, service_process
from tests.support.upstream import Upstream, answer_openai

pytestmark = pytest.mark.llm

PROMPT_ID = "pr_page"
PROVIDER_KEY = "key-of-the-page"
CONFIG = f"""
model_list:
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: humanloop/gpt-3.5-turbo
      prompt_id: "{PROMPT_ID}"
      api_key: os.environ/OPENAI_API_KEY
"""
CURL = r"""
curl -L -X POST 'http://{address}/v1/chat/completions' \
-H 'Content-Type: application/json' \
-H 'Authorization: Bearer sk-1234' \
-d '{{
    "model": "gpt-3.5-turbo",
    "messages": [
        {{
            "role": "user",
            "content": "THIS WILL BE IGNORED"
        }}
    ],
    "prompt_variables": {{
        "key": "this is used"
    }}
}}'
"""


@asynccontextmanager
async def running_page(folder: Path, model_url: str) -> AsyncIterator[ServiceProcess]:
    """Run the page's command over a stand-in of the store that has one prompt."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    async with running_humanloop() as api:
        stock(api)
        environ = {
            "HUMANLOOP_API_KEY": KEY,
            "HUMANLOOP_BASE_URL": api.url,
            "OPENAI_API_KEY": PROVIDER_KEY,
            "OPENAI_BASE_URL": model_url,
        }
        process = service_process("--config", str(config), "--detailed_debug", environ=environ)
        with process as service:
            yield service


def stock(api: HumanloopApi) -> None:
    api.put(
        "Page/Prompt",
        prompt_id=PROMPT_ID,
        model="gpt-4o",
        provider="openai",
        max_tokens=8,
        temperature=0.0,
        template=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say: {{key}}"},
        ],
    )


async def test_curl(tmp_path: Path, model_url: str) -> None:
    """The page's curl line is answered, and the log shows the template on its way to the model."""
    async with running_page(tmp_path, model_url) as service:
        command = CURL.format(address=service.door("http"))
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=os.environ,
        )
        log = service.log_file.read_text()

    answer = json.loads(done.stdout)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt-3.5-turbo"
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] <= 8
    _, _, told = log.partition("POST Request Sent from prompt-resolver:\ncurl -X POST")
    assert f"{model_url}/chat/completions" in told
    assert "-H 'Authorization: Bearer *****'" in told
    assert '{"role":"user","content":"Say: this is used"}' in told
    assert '"model":"gpt-3.5-turbo"' in told
    assert "IGNORED" not in log
    assert PROVIDER_KEY not in log
    assert KEY not in log


async def test_openai_sdk(tmp_path: Path, model_url: str) -> None:
    """The page's lines for OpenAI's client are answered, whole and streamed."""

    def ask(address: str) -> tuple[str | None, str]:
        client = openai.OpenAI(api_key="anything", base_url=f"http://{address}")
        with client:
            response = client.chat.completions.create(
                model="gpt-3.5-turbo",
                messages=[
                    {"role": "user", "content": "this is a test request, write a short poem"}
                ],
                extra_body={"prompt_variables": {"key": "this is used"}},
            )
            stream = client.chat.completions.create(
                model="gpt-3.5-turbo",
                messages=[],
                extra_body={"prompt_variables": {"key": "this is used"}},
                stream=True,
            )
            texts = [chunk.choices[0].delta.content or "" for chunk in stream]
        return response.choices[0].message.content, "".join(texts)

    async with running_page(tmp_path, model_url) as service:
        whole, streamed = await asyncio.to_thread(ask, service.door("http"))

    assert whole
    assert streamed == whole


PYTHON = f"""
import prompt_resolver

prompt_resolver.set_verbose = True

resp = prompt_resolver.completion(
    model="humanloop/gpt-3.5-turbo",
    prompt_id="{PROMPT_ID}",
    prompt_variables={{"key": "this is used"}},
    messages=[{{"role": "user", "content": "<IGNORED>"}}],
)
stream = prompt_resolver.completion(
    model="humanloop/gpt-3.5-turbo",
    prompt_id="{PROMPT_ID}",
    prompt_variables={{"key": "this is used"}},
    stream=True,
)
texts = [chunk.choices[0].delta.content or "" for chunk in stream]
assert resp.usage.completion_tokens <= 8, resp
print(repr(resp.choices[0].message.content), repr("".join(texts)), sep="\\n")
"""


@pytest.mark.parametrize("way", ["sidecar", "in-process"])
async def test_python(tmp_path: Path, model_url: str, way: str) -> None:
    """The page's lines for Python are answered, whole and streamed, with and without a service."""
    async with running_humanloop() as store:
        stock(store)
        environ = store_environ(store, model_url)
        async with running_service(tmp_path, "", environ) as service:
            if way == "sidecar":
                environ = {"PROMPT_RESOLVER_ADDRESS": service.address}
            scene = Scene(way, store, Upstream(model_url, answer_openai), environ)
            code, out, err = await scene.run(PYTHON)

    assert code == 0, err
    whole, streamed = out.splitlines()
    assert len(whole) > 2
    assert streamed == whole
    assert ('{"role":"user","content":"Say: this is used"}' in err) == (way == "in-process")
    assert PROVIDER_KEY not in err


def test_the_address_is_the_pages() -> None:
    """Unless told otherwise, the door is where the page's examples look for it."""
    from prompt_resolver_server.settings.server import ServerSettings

    assert urlsplit(f"//{ServerSettings().http_address}").port == 4000
