"""What only OpenAI has a name for, where another vendor answers, by way of the HTTP door."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.anthropic import answer_anthropic
from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.service import running_service
from tests.support.upstream import Upstream

SAID = {"role": "user", "content": "Hi"}


@pytest.fixture
async def door(tmp_path: Path, upstream: Upstream) -> AsyncIterator[HttpDoor]:
    """The door, with the alias `claude`, and `lenient`, which leaves out what it lacks."""
    upstream.answer = answer_anthropic
    prompt = {"provider": "anthropic", "other": {"verbosity": "low"}}
    write_prompt(tmp_path / "prompts", "brief", "<user>\nHi\n</user>", **prompt)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{anthropic: {{base_url: '{upstream.url.removesuffix("/v1")}', api_key: key-of-it}}}}
model_list:
  - {{model_name: claude, litellm_params: {{model: anthropic/claude-x}}}}
  - {{model_name: lenient, litellm_params: {{model: anthropic/claude-x, drop_params: true}}}}
"""
    async with running_service(tmp_path, config) as service:
        yield HttpDoor(service.http_url)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"verbosity": "low"}, "verbosity"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"prompt_cache_key": "k"}, "prompt_cache_key"),
        ({"store": True}, "store"),
        ({"prompt_id": "brief"}, "verbosity"),
    ],
)
async def test_refused(
    door: HttpDoor, upstream: Upstream, asked: dict[str, object], field: str
) -> None:
    """Who asks for it, be it a template, is refused by its name before anything is sent."""
    answered = await door.chat(model="claude", messages=[SAID], **asked)

    assert (answered.status, answered.error["reason"]) == (400, "PARAMETER_UNSUPPORTED")
    assert answered.error["param"] == field
    assert upstream.exchanges == []


async def test_left_out(door: HttpDoor, upstream: Upstream) -> None:
    """Where that is configured, it is left out and told, and the vendor's own words are sent."""
    answered = await door.chat(
        model="lenient",
        messages=[SAID],
        user="u",
        verbosity="low",
        prediction={"type": "content", "content": "Hello"},
        service_tier="standard_only",
    )

    body = upstream.exchanges[-1].json
    assert answered.headers["x-dropped-parameters"] == "verbosity, prediction"
    assert not {"user", "verbosity", "prediction"} & body.keys()
    assert (body["metadata"], body["service_tier"]) == ({"user_id": "u"}, "standard_only")


async def test_what_is_so_anyway(door: HttpDoor) -> None:
    """What changes nothing is left out and told in any case."""
    answered = await door.chat(
        model="claude", messages=[SAID], store=False, service_tier="auto", logit_bias={}
    )

    assert answered.status == 200
    assert answered.headers["x-dropped-parameters"] == "store, logit_bias"
