"""LiteLLM itself is a client of the HTTP door."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.calls import VARIABLES
from tests.support.service import running_service
from tests.support.upstream import Upstream

SCRIPT = Path(__file__).with_name("litellm_client.py")

pytestmark = pytest.mark.foreign


async def test_completions(
    litellm: Path, tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """It gets whole and streamed answers, what was served, and errors that it knows."""
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
model_list: [{{model_name: greeter, litellm_params: {{model: fake/m, prompt_id: greet}}}}]
"""
    async with running_service(tmp_path, config) as service:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(litellm), str(SCRIPT), f"{service.http_url}/v1", "greeter", json.dumps(VARIABLES)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        prompt = await service.client.resolve("greet", variables=VARIABLES)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "missing language, name" in told.pop("failure")
    assert told == {
        "waited": "Hello",
        "whole": "Hello",
        "streamed": "Hello",
        "tokens": 7,
        "version": prompt.prompt.version,
    }
