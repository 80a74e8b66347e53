"""`max_tokens` and `max_completion_tokens` are one limit; some servers take but one of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.anthropic import answer_anthropic
from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai

NAMES = ("max_tokens", "max_completion_tokens")
SAID = {"role": "user", "content": "Hi"}
BODY = "<user>\nHi\n</user>"


@dataclass(frozen=True)
class Scene:
    """A service, and the one upstream of all its providers."""

    service: RunningService
    upstream: Upstream

    async def chat(self, model: str, **options: object) -> dict[str, object]:
        """Return the limit that the provider of a model is told of, and what is left out."""
        answered = await HttpDoor(self.service.http_url).chat(
            model=model, messages=[SAID], **options
        )
        assert answered.status == 200, answered.body
        assert "x-dropped-parameters" not in answered.headers
        return self.sent()

    def sent(self) -> dict[str, object]:
        body = self.upstream.exchanges[-1].json
        return {name: body[name] for name in NAMES if name in body}


@pytest.fixture
async def scene(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Scene]:
    async def answer(exchange: Exchange) -> None:
        to_anthropic = exchange.path.endswith("/messages")
        await (answer_anthropic if to_anthropic else answer_openai)(exchange)

    upstream.answer = answer
    prompts = tmp_path / "prompts"
    write_prompt(prompts, "old", BODY, provider="gateway", max_tokens=9)
    other = {"max_completion_tokens": 9}
    write_prompt(prompts, "new", BODY, provider="gateway", other=other)
    write_prompt(prompts, "both", BODY, provider="gateway", max_tokens=5, other=other)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  gateway: {{dialect: openai, base_url: '{upstream.url}'}}
  openai: {{base_url: '{upstream.url}', api_key: key-of-openai}}
  claude: {{dialect: anthropic, base_url: '{upstream.url.removesuffix("/v1")}'}}
  azure: {{base_url: '{upstream.url}', api_key: key-of-azure, api_version: 2024-06-01}}
model_list:
  - {{model_name: gateway, litellm_params: {{model: gateway/gpt-5}}}}
  - {{model_name: openai, litellm_params: {{model: openai/gpt-5}}}}
  - {{model_name: claude, litellm_params: {{model: claude/m}}}}
  - {{model_name: azure, litellm_params: {{model: azure/m}}}}
  - {{model_name: new, litellm_params: {{model: gateway/gpt-5, max_completion_tokens: 9}}}}
  - {{model_name: old, litellm_params: {{model: gateway/gpt-5, max_tokens: 9}}}}
  - model_name: new-at-its-own
    litellm_params:
      {{model: openai/gpt-5, api_base: '{upstream.url}', max_completion_tokens: 9}}
"""
    async with running_service(tmp_path, config) as service:
        yield Scene(service, upstream)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", ["gateway", "openai"])
async def test_callers_name(scene: Scene, model: str, name: str) -> None:
    """A server that nobody knows is told the limit by the name that the caller has for it."""
    assert await scene.chat(model, **{name: 7}) == {name: 7}


async def test_where_it_has_one_name(scene: Scene) -> None:
    """What has but one name for it is told it by that, whatever the caller calls it."""
    for model in ("claude", "azure"):
        for name in NAMES:
            assert await scene.chat(model, **{name: 7}) == {"max_tokens": 7}


async def test_name_of_a_row(scene: Scene) -> None:
    """A row's name for it is kept, too, also at an address of its own."""
    assert await scene.chat("old") == {"max_tokens": 9}
    assert await scene.chat("new") == {"max_completion_tokens": 9}
    assert await scene.chat("new-at-its-own") == {"max_completion_tokens": 9}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alias", ["old", "new"])
async def test_caller_wins_over_a_row(scene: Scene, alias: str, name: str) -> None:
    """There is one limit: the caller's, by the caller's name."""
    assert await scene.chat(alias, **{name: 7}) == {name: 7}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prompt", ["old", "new", "both"])
async def test_caller_wins_over_a_template(scene: Scene, prompt: str, name: str) -> None:
    """It wins over a template's just so, wherever that says it."""
    assert await scene.chat("gateway", prompt_id=prompt, **{name: 7}) == {name: 7}


async def test_name_of_a_template(scene: Scene) -> None:
    """A template that says it among its other parameters is taken at its word, and resolved."""
    assert await scene.chat("gateway", prompt_id="old") == {"max_tokens": 9}
    for prompt in ("new", "both"):
        assert await scene.chat("gateway", prompt_id=prompt) == {"max_completion_tokens": 9}
        resolved = await scene.service.client.resolve(prompt)
        assert resolved.parameters.max_tokens == 9
        assert not resolved.parameters.HasField("extra")
    assert await scene.chat("claude", prompt_id="new") == {"max_tokens": 9}


async def test_name_over_grpc(scene: Scene) -> None:
    """Who calls over gRPC says the newer name among the extra parameters."""
    parameters = pb.ModelParameters(max_tokens=5)
    parameters.extra["max_completion_tokens"] = 7

    for model in ("gateway/gpt-5", "claude/m"):
        await scene.service.client.complete("old", model=model, parameters=parameters)

    bodies = [exchange.json for exchange in scene.upstream.exchanges]
    sent = [{name: body[name] for name in NAMES if name in body} for body in bodies]
    assert sent == [{"max_completion_tokens": 7}, {"max_tokens": 7}]


async def test_what_is_no_limit(scene: Scene) -> None:
    """A limit that is none is refused by the name that it came with."""
    answered = await HttpDoor(scene.service.http_url).chat(
        model="gateway", messages=[SAID], max_completion_tokens="many"
    )

    assert (answered.status, answered.error["param"]) == (400, "max_completion_tokens")
