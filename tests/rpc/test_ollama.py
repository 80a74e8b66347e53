"""The provider `ollama` over a real gRPC socket, with a stand-in for its server on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.providers.wire.ndjson import NDJSON
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.ollama import CALL, answer_ollama, ollama_error, ollama_stream
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream, answer_with, stream_of


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A server that speaks Ollama's dialect."""
    return upstream.speak(answer_ollama)


@pytest.fixture
async def service(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningService]:
    """The service with a stand-in for Ollama, whose address is in the customary variable."""
    header = {"model": "some-model", "provider": "ollama"}
    write_prompt(tmp_path / "prompts", "greet", GREETING, **header, temperature=0.3)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
model_list:
  - model_name: chat
    litellm_params:
      model: ollama_chat/other-model
      api_base: {upstream.url}/api/chat
      drop_params: true
"""
    variables = {"OLLAMA_API_BASE": upstream.url}
    async with running_service(tmp_path, config, variables) as running:
        yield running


async def test_complete(service: RunningService, upstream: Upstream) -> None:
    """A prompt whose provider is Ollama reaches it without a key."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="Hello")]
    )
    assert (response.provider, response.model) == ("ollama", "served-model")
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.usage == pb.Usage(input_tokens=10, output_tokens=7)
    (exchange,) = upstream.exchanges
    assert exchange.path == "/api/chat"
    assert "authorization" not in exchange.headers
    assert exchange.json == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Greet in French."},
            {"role": "user", "content": "Ada"},
        ],
        "options": {"temperature": 0.3},
        "stream": True,
    }


async def test_stream(service: RunningService) -> None:
    """A streamed answer arrives in order, with the same end as a whole one."""
    whole = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)

    assert streamed.error is None
    assert (streamed.kinds[0], streamed.text) == ("started", "Hello")
    assert streamed.finished.usage == whole.usage
    assert streamed.finished.raw_finish_reason == whole.raw_finish_reason == "stop"


async def test_alias(service: RunningService, upstream: Upstream) -> None:
    """An alias as LiteLLM's users write it, whole address and all, drops what it is told to."""
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])
    parameters = pb.ModelParameters(reasoning_effort="2048")
    response = await service.client.complete(alias="chat", messages=[said], parameters=parameters)

    assert list(response.dropped_parameters) == ["reasoning_effort"]
    (exchange,) = upstream.exchanges
    assert response.provider == "ollama_chat"
    assert (exchange.path, exchange.json["model"]) == ("/api/chat", "other-model")


async def test_tool_round_trip(service: RunningService, upstream: Upstream) -> None:
    """A tool's result goes back with the call, whose thoughts and arguments are as they came."""
    upstream.answer = stream_of(
        *ollama_stream({"thinking": "Hm."}, {"tool_calls": [CALL]}), content_type=NDJSON
    )
    tool = pb.Tool(name="find", description="Finds.")
    asked = await service.client.complete("greet", variables=VARIABLES, tools=[tool])
    upstream.answer = answer_ollama
    result = pb.Message(
        role=pb.ROLE_TOOL,
        tool_call_id=asked.message.tool_calls[0].id,
        content=[pb.ContentPart(text="42")],
    )
    await service.client.complete(
        "greet", variables=VARIABLES, tools=[tool], messages=[asked.message, result]
    )

    assert asked.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    messages = upstream.exchanges[1].json["messages"]
    assert isinstance(messages, list)
    assert messages[2:] == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"id": "call_a1b2", "function": {"name": "find", "arguments": {"a": [1, 2]}}}
            ],
        },
        {"role": "tool", "content": "42", "tool_name": "find", "tool_call_id": "call_a1b2"},
    ]


async def test_parameters_that_cannot_be_sent(service: RunningService, upstream: Upstream) -> None:
    """What the caller insists on and the server lacks is told before anything is sent."""
    error = await failure(
        service.client.complete(
            "greet", variables=VARIABLES, parameters=pb.ModelParameters(reasoning_effort="9")
        )
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert upstream.exchanges == []


async def test_failures(service: RunningService, upstream: Upstream) -> None:
    """A failure is told by its status and its words, in a stream, too, and quotes nothing."""
    upstream.answer = answer_with(ollama_error("model 'm' not found"), status="404 Not Found")
    refused = await failure(service.client.complete("greet", variables=VARIABLES))
    begun = ollama_stream({"content": "Hel"})[0]
    upstream.answer = stream_of(begun, ollama_error("their words"), content_type=NDJSON)
    broken = await collect(service.client)
    upstream.answer = stream_of(begun, content_type=NDJSON)
    cut = await collect(service.client)

    assert status_of(refused) == (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert broken.error is not None
    assert cut.error is not None
    assert (broken.text, cut.text) == ("Hel", "Hel")
    assert status_of(broken.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert status_of(cut.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    assert "their words" not in str(broken.error)
