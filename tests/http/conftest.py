"""The HTTP door over a few prompts and aliases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream

ALIASES = """
stores:
  local: {{type: directory, path: {prompts}}}
providers:
  fake: {{dialect: openai, base_url: '{url}', api_key: key-of-fake}}
model_list:
  - {{model_name: greeter, litellm_params: {{model: fake/small, prompt_id: greet}}}}
  - {{model_name: plain, litellm_params: {{model: fake/small, temperature: 0.2}}}}
  - {{model_name: local, litellm_params: {{model: local/auto}}}}
"""


@pytest.fixture
async def door_service(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> AsyncIterator[RunningService]:
    """The service with `greeter`, an alias for a prompt, `plain` without one, and `local`."""
    write_prompt(prompts, "system", "<system>\nSpeak {{language}}.\n</system>")
    config = ALIASES.format(prompts=prompts, url=upstream.url)
    async with running_service(tmp_path, config) as running:
        yield running


@pytest.fixture
def door(door_service: RunningService) -> HttpDoor:
    """The HTTP door of `door_service`."""
    return HttpDoor(door_service.http_url)
