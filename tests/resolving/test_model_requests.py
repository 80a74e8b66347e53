"""What must be sent to a provider, or else the call be refused."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.dispatch.notation import ModelChoice
from prompt_resolver_server.domain.aliases import Alias, Deployment
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Message,
    PromptRef,
    ResolvedPrompt,
    Text,
    Tool,
    ToolChoice,
)
from prompt_resolver_server.resolving.model_requests import make_model_request
from prompt_resolver_server.resolving.queries import Query, Resolution
from tests.support.anthropic import answer_anthropic
from tests.support.bedrock import answer_bedrock
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.gemini import answer_gemini
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai

BODY = "<user>\n{{name}}\n</user>"
# Humanloop writes these into each of its files.
DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
BUDGET = "reasoning_effort: 2048"


@dataclass(frozen=True)
class Scene:
    """A service with a provider of each dialect, both of which are one upstream."""

    service: RunningService
    upstream: Upstream

    async def ask(self, prompt: str, **options: Any) -> pb.CompleteResponse:
        """Return the answer to a prompt."""
        return await self.service.client.complete(prompt, variables=VARIABLES, **options)

    async def refused(self, prompt: str, **options: Any) -> list[str]:
        """Return the fields that a call is refused for, of which nothing has been sent."""
        sent = len(self.upstream.exchanges)
        error: PromptResolverError = await failure(self.ask(prompt, **options))
        assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
        assert len(self.upstream.exchanges) == sent
        return [violation.field for violation in error.violations]


@pytest.fixture
async def scene(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Scene]:
    async def answer(exchange: Exchange) -> None:
        if exchange.path.endswith("/messages"):
            await answer_anthropic(exchange)
        elif "/converse" in exchange.path:
            await answer_bedrock(exchange)
        elif "enerateContent" in exchange.path:
            await answer_gemini(exchange)
        else:
            await answer_openai(exchange)

    upstream.answer = answer
    prompts = tmp_path / "prompts"
    write_prompt(prompts, "seeded", BODY, provider="claude", seed=7)
    write_prompt(prompts, "plain", BODY, provider="claude")
    write_prompt(prompts, "defaults", BODY, provider="claude", reasoning_effort=2048, **DEFAULTS)
    write_prompt(prompts, "of-gpt", BODY, provider="gpt", seed=7)
    write_prompt(prompts, "of-nobody", BODY, provider=None, model=None, seed=7)
    url = upstream.url.removesuffix("/v1")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  claude: {{dialect: anthropic, base_url: '{url}'}}
  lenient: {{dialect: anthropic, base_url: '{url}', drop_unsupported: true}}
  gpt: {{dialect: openai, base_url: '{upstream.url}'}}
  google: {{dialect: gemini, base_url: '{url}'}}
  anthropic: {{base_url: 'http://127.0.0.1:1', api_key: of-anthropic}}
  bedrock: {{base_url: '{url}', api_key: of-aws}}
  down: {{dialect: openai, base_url: 'http://127.0.0.1:1'}}
model_list:
  - {{model_name: seeding, litellm_params: {{model: claude/m, seed: 7}}}}
  - {{model_name: bare, litellm_params: {{model: claude/m}}}}
  - {{model_name: down, litellm_params: {{model: down/m, seed: 7}}}}
  - {{model_name: dropping, litellm_params: {{model: claude/m, seed: 7, drop_params: true}}}}
  - {{model_name: thinking, litellm_params: {{model: claude/m, reasoning_effort: 2048}}}}
  - {{model_name: gemini, litellm_params: {{model: google/gemini-3-pro}}}}
  - {{model_name: to-bare, litellm_params: {{model: down/m}}}}
  - {{model_name: to-gemini, litellm_params: {{model: down/m}}}}
  - {{model_name: to-thinking, litellm_params: {{model: down/m}}}}
  - {{model_name: claude, litellm_params: {{model: bedrock/us.anthropic.claude, {BUDGET}}}}}
  - {{model_name: nova, litellm_params: {{model: bedrock/amazon.nova}}}}
  - {{model_name: to-claude, litellm_params: {{model: anthropic/claude}}}}
  - {{model_name: to-nova, litellm_params: {{model: anthropic/claude}}}}
router_settings:
  fallbacks:
    - {{to-claude: [claude], to-nova: [nova]}}
    - {{down: [bare], to-bare: [bare], to-gemini: [gemini], to-thinking: [thinking]}}
"""
    async with running_service(tmp_path, config) as service:
        yield Scene(service, upstream)


SEED = pb.ModelParameters(seed=7)


async def test_whoever_sets_it(scene: Scene) -> None:
    """What a provider lacks is refused by its field, whoever set it for this provider."""
    assert await scene.refused("plain", parameters=SEED) == ["parameters.seed"]
    assert await scene.refused("seeded") == ["parameters.seed"]
    assert await scene.refused("plain", alias="seeding") == ["parameters.seed"]
    assert await scene.refused("of-nobody", alias="bare") == ["parameters.seed"]


async def test_what_changes_nothing(scene: Scene) -> None:
    """Values that change nothing are left out where the provider lacks them, and that is told."""
    neutral = pb.ModelParameters(presence_penalty=0, parallel_tool_calls=False, top_p=1)

    of_template = await scene.ask("defaults")
    of_caller = await scene.ask("plain", parameters=neutral)

    assert set(of_template.dropped_parameters) == {
        "presence_penalty",
        "frequency_penalty",
        "top_p",
    }
    assert set(of_caller.dropped_parameters) == {"presence_penalty", "parallel_tool_calls"}


async def test_operator_who_has_it_dropped(scene: Scene) -> None:
    """`drop_unsupported`, or LiteLLM's `drop_params`, leaves out what anybody set, and tells it."""
    of_provider = await scene.ask("plain", model="lenient/m", parameters=SEED)
    of_row = await scene.ask("plain", alias="dropping")

    assert list(of_provider.dropped_parameters) == ["seed"]
    assert list(of_row.dropped_parameters) == ["seed"]
    assert all("seed" not in exchange.json for exchange in scene.upstream.exchanges)


async def test_model_of_another_provider(scene: Scene) -> None:
    """What was written for another provider is left out and told, the caller's own is refused."""
    of_caller = await scene.ask("of-gpt", model="claude/m")
    of_nobody = await scene.ask("of-nobody", alias="down", model="claude/m")
    of_alias = await scene.ask("of-gpt", alias="bare")
    at_home = await scene.ask("of-gpt", model="gpt/other")

    for response in (of_caller, of_nobody, of_alias):
        assert list(response.dropped_parameters) == ["seed"]
    assert list(at_home.dropped_parameters) == []
    assert await scene.refused("of-gpt", model="claude/m", parameters=SEED) == ["parameters.seed"]
    assert await scene.refused("of-gpt", alias="seeding") == ["parameters.seed"]


async def test_fallback_to_another_provider(scene: Scene) -> None:
    """What was set for the first provider is left out by a fallback that lacks it, and told."""
    response = await scene.ask("of-nobody", alias="down")

    assert [each.outcome for each in response.attempts] == ["upstream_unavailable", "ok"]
    assert list(response.dropped_parameters) == ["seed"]


async def test_fallback_that_lacks_what_the_caller_set(scene: Scene) -> None:
    """A fallback cannot take a call that insists on what it lacks: the first failure is told."""
    error = await failure(scene.ask("plain", alias="down", parameters=SEED))

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


@pytest.mark.parametrize(
    ("neutral", "telling"),
    [
        (Parameters(temperature=1), Parameters(temperature=0.5)),
        (Parameters(top_p=1), Parameters(top_p=0.5)),
        (Parameters(presence_penalty=0), Parameters(presence_penalty=0.5)),
        (Parameters(frequency_penalty=0), Parameters(frequency_penalty=0.5)),
        (
            Parameters(response_format=ResponseFormat(type="text")),
            Parameters(response_format=ResponseFormat(type="json_object")),
        ),
        (Parameters(parallel_tool_calls=True), Parameters(parallel_tool_calls=False)),
        (ToolChoice(mode="auto"), ToolChoice(mode="none")),
    ],
    ids=lambda said: "tool_choice" if isinstance(said, ToolChoice) else "".join(said.names()),
)
def test_neutral_values(neutral: Parameters | ToolChoice, telling: Parameters | ToolChoice) -> None:
    """A value that leaves an answer as it is need not be sent; any other must be."""
    assert insisted(neutral) == set()
    assert insisted(telling) == (
        {"tool_choice"} if isinstance(telling, ToolChoice) else set(telling.names())
    )


def insisted(said: Parameters | ToolChoice) -> frozenset[str]:
    """Return what must be sent of what a caller says who has a tool."""
    parameters = said if isinstance(said, Parameters) else NO_PARAMETERS
    choice = said if isinstance(said, ToolChoice) else None
    deployment, ref = Deployment(), PromptRef(id="p")
    resolution = Resolution(
        query=Query(
            prompt=ref,
            deadline=0,
            credentials=Credentials(),
            parameters=parameters,
            tool_choice=choice,
        ),
        alias=Alias(name="a", deployments=(deployment,)),
        deployment=deployment,
        ref=ref,
        prompt=ResolvedPrompt(
            messages=(Message(role="user", content=(Text("Hi"),)),),
            model="m",
            provider="p",
            parameters=parameters,
            tools=(Tool(name="find"),),
            tool_choice=choice,
            served=None,
        ),
        choice=ModelChoice(provider="p", model="m", named_by="caller"),
        began=0,
    )
    return make_model_request(resolution, first=resolution.choice).insisted


def signed_conversation() -> list[pb.Message]:
    """Return a conversation whose last answer has a thought and a call, both of them signed."""
    thought = pb.Reasoning(text="Hm.", signature=b"of-gpt")
    call = pb.ToolCall(id="c", name="find", arguments_json="{}", signature=b"of-gpt")
    return [
        pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")]),
        pb.Message(
            role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(reasoning=thought)], tool_calls=[call]
        ),
        pb.Message(role=pb.ROLE_TOOL, tool_call_id="c", content=[pb.ContentPart(text="1")]),
    ]


@pytest.mark.parametrize("fallback", ["bare", "gemini"])
async def test_signatures_stay_where_they_were_made(scene: Scene, fallback: str) -> None:
    """A fallback gets a conversation without signatures: to another vendor they are corrupted."""
    conversation = signed_conversation()

    at_home = await scene.service.client.complete(alias=fallback, messages=conversation)
    moved = await scene.service.client.complete(alias=f"to-{fallback}", messages=conversation)

    bodies = [exchange.body for exchange in scene.upstream.exchanges]
    assert [b"of-gpt" in body for body in bodies] == [True, False]
    assert (list(at_home.dropped_parameters), list(moved.dropped_parameters)) == ([], [])


@pytest.mark.parametrize(("house", "goes_along"), [("claude", True), ("nova", False)])
async def test_signatures_of_one_author(scene: Scene, house: str, goes_along: bool) -> None:
    """Anthropic's models read each other's signatures, at Anthropic and at Bedrock."""
    response = await scene.service.client.complete(
        alias=f"to-{house}", messages=signed_conversation()
    )

    assert [each.provider for each in response.attempts] == ["anthropic", "bedrock"]
    assert list(response.dropped_parameters) == []
    assert (b"of-gpt" in scene.upstream.exchanges[0].body) is goes_along


async def test_what_is_sealed_stays_where_it_was(scene: Scene) -> None:
    """Of sealed thoughts nobody says that another provider opens them, and the fallback tells."""
    conversation = signed_conversation()
    sealed = pb.ContentPart(reasoning=pb.Reasoning(redacted=b"of-gpt"))
    conversation[1].content.insert(0, sealed)

    response = await scene.service.client.complete(alias="to-claude", messages=conversation)

    assert list(response.dropped_parameters) == ["reasoning_effort"]
    assert b"of-gpt" not in scene.upstream.exchanges[0].body


async def test_fallback_that_has_not_thought(scene: Scene) -> None:
    """A fallback that is to think, and cannot as others made the calls, tells that it did not."""
    moved = await scene.service.client.complete(alias="to-thinking", messages=signed_conversation())

    assert list(moved.dropped_parameters) == ["reasoning_effort"]
    assert "thinking" not in scene.upstream.exchanges[0].json
