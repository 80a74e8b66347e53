"""The provider `cohere` over a real gRPC socket, with its API's stand-in on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.cohere import (
    CALL,
    answer_cohere,
    cohere_error,
    cohere_stream,
    cohere_texts,
    frame_end,
)
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream, answer_with, stream_of


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Cohere's dialect."""
    return upstream.speak(answer_cohere)


@pytest.fixture
async def service(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningService]:
    """The service with a stand-in for Cohere, whose key is in the customary variable."""
    header = {"model": "some-command", "provider": "cohere", "temperature": 0.3, "top_p": 1.0}
    write_prompt(tmp_path / "prompts", "greet", GREETING, **header, presence_penalty=0.0)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
model_list:
  - model_name: chat
    litellm_params:
      model: cohere_chat/other-command
      api_base: {upstream.url}/v2/chat
      api_key: key-of-alias
"""
    variables = {"CO_API_KEY": "key-of-cohere", "COHERE_API_BASE": f"{upstream.url}/v2/chat"}
    async with running_service(tmp_path, config, variables) as running:
        yield running


async def test_complete(service: RunningService, upstream: Upstream) -> None:
    """A prompt whose provider is Cohere reaches it, and what it lacks is told."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="Hello")]
    )
    assert (response.id, response.provider) == ("answer-1", "cohere")
    assert response.model == "some-command"
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "COMPLETE"
    assert response.usage == pb.Usage(input_tokens=10, output_tokens=7, cache_read_tokens=3)
    assert list(response.dropped_parameters) == ["top_p", "presence_penalty"]
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v2/chat"
    assert exchange.headers["authorization"] == "Bearer key-of-cohere"
    assert exchange.json == {
        "model": "some-command",
        "messages": [
            {"role": "system", "content": "Greet in French."},
            {"role": "user", "content": "Ada"},
        ],
        "temperature": 0.3,
        "stream": True,
    }


async def test_stream(service: RunningService) -> None:
    """A streamed answer arrives in order, with the same model and end as a whole one."""
    whole = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)

    assert streamed.error is None
    assert (streamed.kinds[0], streamed.text) == ("started", "Hello")
    assert streamed.events[0].started.model == streamed.finished.model == whole.model
    assert streamed.finished.usage == whole.usage
    assert streamed.finished.raw_finish_reason == whole.raw_finish_reason


async def test_alias(service: RunningService, upstream: Upstream) -> None:
    """An alias as LiteLLM's users write it, whole address and all, has its own key."""
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])
    response = await service.client.complete(alias="chat", messages=[said])

    (exchange,) = upstream.exchanges
    assert (response.provider, response.model) == ("cohere_chat", "other-command")
    assert (exchange.path, exchange.json["model"]) == ("/v2/chat", "other-command")
    assert exchange.headers["authorization"] == "Bearer key-of-alias"


async def test_tool_round_trip(service: RunningService, upstream: Upstream) -> None:
    """The plan that came with a call goes back with it, and so does the tool's result."""
    upstream.answer = stream_of(*cohere_stream(calls=[CALL], plan="I will look.", stop="TOOL_CALL"))
    tool = pb.Tool(name="find", description="Finds.")
    asked = await service.client.complete("greet", variables=VARIABLES, tools=[tool])
    upstream.answer = answer_cohere
    result = pb.Message(
        role=pb.ROLE_TOOL,
        tool_call_id=asked.message.tool_calls[0].id,
        content=[pb.ContentPart(text="42")],
    )
    await service.client.complete(
        "greet", variables=VARIABLES, tools=[tool], messages=[asked.message, result]
    )

    assert asked.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    assert [part.reasoning.text for part in asked.message.content] == ["I will look."]
    messages = upstream.exchanges[1].json["messages"]
    assert isinstance(messages, list)
    assert messages[2:] == [
        {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [CALL]},
        {"role": "tool", "content": "42", "tool_call_id": CALL["id"]},
    ]


async def test_failures(service: RunningService, upstream: Upstream) -> None:
    """A failure is told by its status and its words, in a stream, too, and quotes nothing."""
    body = cohere_error("too many tokens: their words")
    upstream.answer = answer_with(body, status="400 Bad Request")
    refused = await failure(service.client.complete("greet", variables=VARIABLES))
    *begun, _ = cohere_texts(("Hel", "lo"))
    upstream.answer = stream_of(*begun, frame_end("ERROR", error="their words"))
    broken = await collect(service.client)
    upstream.answer = stream_of(*begun)
    cut = await collect(service.client)

    assert status_of(refused) == (StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH")
    assert broken.error is not None
    assert cut.error is not None
    assert (broken.text, cut.text) == ("Hello", "Hello")
    assert status_of(broken.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert status_of(cut.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    assert "their words" not in str(refused) + str(broken.error)


async def test_no_key(tmp_path: Path, upstream: Upstream) -> None:
    """Without a key Cohere is not called."""
    write_prompt(tmp_path / "prompts", "greet", GREETING, model="m", provider="cohere")
    config = "stores: {local: {type: directory, path: prompts}}"
    async with running_service(tmp_path, config, {"CO_API_URL": upstream.url}) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    assert upstream.exchanges == []
