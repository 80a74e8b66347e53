"""The provider `anthropic` over a real gRPC socket, with its API's stand-in on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf import struct_pb2
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.anthropic import (
    CALL,
    REDACTED,
    SIGNATURE,
    TEXT,
    THINKING,
    Fields,
    answer_anthropic,
    anthropic_answer,
    anthropic_error,
    anthropic_stream,
    anthropic_texts,
)
from tests.support.calls import (
    VARIABLES,
    collect,
    failure,
    put_together,
    status_of,
)
from tests.support.cuts import TEXTS, check_cuts
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream, answer_with, stream_of


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Anthropic's dialect."""
    return upstream.speak(answer_anthropic)


@pytest.fixture
async def service(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningService]:
    """The service with a stand-in for Anthropic, whose key is in the customary variable."""
    prompts = tmp_path / "prompts"
    header = {"model": "some-claude", "provider": "anthropic"}
    write_prompt(
        prompts, "greet", GREETING, **header, temperature=0.3, top_p=1.0, presence_penalty=0
    )
    write_prompt(prompts, "think", GREETING, **header, reasoning_effort=2048, max_tokens=-1)
    write_prompt(prompts, "small", GREETING, **header, reasoning_effort=2048, max_tokens=2000)
    write_prompt(prompts, "other", GREETING, model="gpt", provider="openai")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  anthropic: {{base_url: '{upstream.url}'}}
  openai: {{base_url: '{upstream.url}/v1', api_key: key-of-openai}}
  bare: {{dialect: anthropic, base_url: '{upstream.url}'}}
model_list:
  - model_name: claude
    litellm_params: {{model: local/anthropic/claude-of-alias, prompt_id: other}}
  - model_name: plain
    litellm_params: {{model: humanloop/anthropic/claude-of-humanloop}}
"""
    keys = {"ANTHROPIC_API_KEY": "key-of-anthropic"}
    async with running_service(tmp_path, config, keys) as running:
        yield running


async def test_complete(service: RunningService, upstream: Upstream) -> None:
    """A prompt whose provider is Anthropic reaches it, and what changes nothing is told."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="Hello")]
    )
    assert (response.id, response.provider, response.model) == (
        "msg_1",
        "anthropic",
        "served-model",
    )
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "end_turn"
    assert response.usage == pb.Usage(
        input_tokens=10, output_tokens=7, cache_read_tokens=3, cache_write_tokens=2
    )
    assert list(response.dropped_parameters) == ["presence_penalty", "top_p"]
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v1/messages"
    assert exchange.headers["x-api-key"] == "key-of-anthropic"
    assert exchange.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in exchange.headers
    assert exchange.json == {
        "model": "some-claude",
        "system": [{"type": "text", "text": "Greet in French."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Ada"}]}],
        "temperature": 0.3,
        "max_tokens": 4096,
        "stream": True,
    }


async def test_counts_beyond_all_bounds(service: RunningService, upstream: Upstream) -> None:
    """Numbers of tokens that cannot be true are unknown, and no reason to lose an answer."""
    usage = {"input_tokens": 2**63 - 1, "cache_read_input_tokens": 2**63 - 1, "output_tokens": 7}
    upstream.answer = answer_with(anthropic_answer(usage=usage))
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.usage == pb.Usage(output_tokens=7)


async def test_stream(service: RunningService, upstream: Upstream) -> None:
    """A streamed answer arrives in order, with the same end as a whole one."""
    whole = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)

    assert streamed.error is None
    assert (streamed.kinds[0], streamed.text) == ("started", "Hello")
    assert streamed.events[0].started.id == "msg_1"
    assert streamed.finished.usage == whole.usage
    assert streamed.finished.raw_finish_reason == whole.raw_finish_reason
    assert streamed.finished.dropped_parameters == whole.dropped_parameters
    assert [exchange.json["stream"] for exchange in upstream.exchanges] == [True, True]


async def test_tool_round_trip(service: RunningService, upstream: Upstream) -> None:
    """Thoughts come back signed, in their order, and go out again as they came, with the result."""
    blocks = (THINKING, REDACTED, TEXT, CALL)
    upstream.answer = stream_of(*anthropic_stream(*blocks, stop="tool_use"))
    tool = pb.Tool(name="find", description="Finds.")
    asked = await service.client.complete("think", variables=VARIABLES, tools=[tool])
    upstream.answer = answer_anthropic
    result = pb.Message(
        role=pb.ROLE_TOOL, tool_call_id="toolu_1", content=[pb.ContentPart(text="42")]
    )

    answered = await service.client.complete(
        "think", variables=VARIABLES, tools=[tool], messages=[asked.message, result]
    )

    assert asked.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    assert [part.WhichOneof("part") for part in asked.message.content] == [
        "reasoning",
        "reasoning",
        "text",
    ]
    signed, sealed = (part.reasoning for part in asked.message.content[:2])
    assert (signed.text, signed.signature) == ("Hm, well.", SIGNATURE.encode())
    assert (sealed.text, sealed.redacted) == ("", b"c2VhbGVk==")
    assert asked.message.tool_calls[0].arguments_json == '{"a":[1,2]}'
    assert answered.message.content[0].text == "Hello"
    first, second = (exchange.json for exchange in upstream.exchanges)
    assert first["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert first["max_tokens"] == 2048 + 4096
    messages = second["messages"]
    assert isinstance(messages, list)
    assert messages[1:] == [
        {"role": "assistant", "content": list(blocks)},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "42"}],
                }
            ],
        },
    ]


async def test_form_that_the_api_lacks(service: RunningService, upstream: Upstream) -> None:
    """Some JSON object is what the model hands to a tool that it must call, and comes as text."""
    call: Fields = {"type": "tool_use", "id": "toolu_1", "name": "final_answer"}
    call["input"] = {"answer": {"a": 1}}
    upstream.answer = stream_of(*anthropic_stream(call, stop="tool_use"))
    form = pb.ResponseFormat(type=pb.ResponseFormat.TYPE_JSON_OBJECT)

    response = await service.client.complete(
        "greet", variables=VARIABLES, parameters=pb.ModelParameters(response_format=form)
    )

    assert [part.text for part in response.message.content] == ['{"a":1}']
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "tool_use"
    assert "response_format" not in response.dropped_parameters
    sent = upstream.exchanges[0].json
    assert sent["tool_choice"] == {"type": "tool", "name": "final_answer"}


async def test_same_message_either_way(service: RunningService, upstream: Upstream) -> None:
    """What a caller puts together from a stream is what a whole answer would have been."""
    blocks = (THINKING, REDACTED, THINKING, TEXT, CALL)
    upstream.answer = stream_of(*anthropic_stream(*blocks, stop="tool_use"))

    whole = await service.client.complete("think", variables=VARIABLES)
    streamed = await collect(service.client, "think")

    assert put_together(streamed) == whole.message


async def test_whose_key(service: RunningService, upstream: Upstream) -> None:
    """A key goes to the provider that it is for, and to no other, whoever names the model."""
    credentials = {
        "x-provider-key-openai": "openai-key-of-caller",
        "x-provider-key-anthropic": "anthropic-key-of-caller",
    }
    call = service.client.complete

    await call("greet", variables=VARIABLES, credentials={"x-provider-key-openai": "other"})
    await call("greet", variables=VARIABLES, credentials=credentials)
    await call("other", variables=VARIABLES, model="anthropic/claude-of-request")
    await call(alias="claude", variables=VARIABLES)
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])
    await call(alias="plain", messages=[said])
    await call("greet", variables=VARIABLES, model="bare/claude")
    await failure(call("other", variables=VARIABLES, credentials=credentials))

    *to_anthropic, to_openai = upstream.exchanges
    assert [
        (exchange.json["model"], exchange.headers.get("x-api-key")) for exchange in to_anthropic
    ] == [
        ("some-claude", "key-of-anthropic"),
        ("some-claude", "anthropic-key-of-caller"),
        ("claude-of-request", "key-of-anthropic"),
        ("claude-of-alias", "key-of-anthropic"),
        ("claude-of-humanloop", "key-of-anthropic"),
        ("claude", None),
    ]
    assert all("openai" not in str(exchange.headers) for exchange in to_anthropic)
    assert all("anthropic-version" in exchange.headers for exchange in to_anthropic)
    assert to_openai.path == "/v1/chat/completions"
    assert to_openai.headers["authorization"] == "Bearer openai-key-of-caller"
    assert "anthropic" not in str(to_openai.headers)


async def test_no_key(tmp_path: Path, upstream: Upstream) -> None:
    """Without a key of its own Anthropic is not called, whatever other keys there are."""
    write_prompt(tmp_path / "prompts", "greet", GREETING, provider="anthropic")
    config = """
stores: {local: {type: directory, path: prompts}}
providers: {openai: {api_key: key-of-openai}}
"""
    variables = {"OPENAI_API_KEY": "key-of-openai", "ANTHROPIC_BASE_URL": upstream.url}
    async with running_service(tmp_path, config, variables) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))
        await service.client.complete(
            "greet", variables=VARIABLES, credentials={"x-provider-key-anthropic": "key-of-caller"}
        )

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    (exchange,) = upstream.exchanges
    assert exchange.headers["x-api-key"] == "key-of-caller"


@pytest.mark.parametrize(
    ("prompt", "parameters", "field"),
    [
        ("greet", pb.ModelParameters(presence_penalty=0.5), "presence_penalty"),
        ("think", pb.ModelParameters(top_k=3), "top_k"),
        ("think", pb.ModelParameters(max_tokens=2048), "max_tokens"),
        ("small", pb.ModelParameters(), "max_tokens"),
        ("greet", pb.ModelParameters(reasoning_effort="12"), "reasoning_effort"),
    ],
)
async def test_parameters_that_cannot_be_sent(
    service: RunningService,
    upstream: Upstream,
    prompt: str,
    parameters: pb.ModelParameters,
    field: str,
) -> None:
    """What the API would refuse is told by its field, before anything is sent."""
    error = await failure(
        service.client.complete(prompt, variables=VARIABLES, parameters=parameters)
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert [violation.field for violation in error.violations] == [f"parameters.{field}"]
    assert upstream.exchanges == []


async def test_system_among_extra_parameters(service: RunningService, upstream: Upstream) -> None:
    """What the system says is the prompt's, and no parameter's, to say."""
    extra = struct_pb2.Struct()
    extra.update({"system": "Something else."})

    error = await failure(
        service.client.complete(
            "greet", variables=VARIABLES, parameters=pb.ModelParameters(extra=extra)
        )
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (
            "529 Overloaded",
            "overloaded_error",
            "their words",
            (StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED"),
        ),
        (
            "400 Bad Request",
            "invalid_request_error",
            "prompt is too long: their words",
            (StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH"),
        ),
        (
            "403 Forbidden",
            "billing_error",
            "their words",
            (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA"),
        ),
        (
            "401 Unauthorized",
            "authentication_error",
            "their words",
            (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH"),
        ),
    ],
)
async def test_refusals(
    service: RunningService,
    upstream: Upstream,
    status: str,
    kind: str,
    message: str,
    expected: tuple[StatusCode, str],
) -> None:
    """A refusal is told by its type, and quotes nothing of it."""
    upstream.answer = answer_with(anthropic_error(kind, message), status=status)

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == expected
    assert "their words" not in str(error)


async def test_whole_answer_in_place_of_a_stream(
    service: RunningService, upstream: Upstream
) -> None:
    """A server that does not stream is understood where a whole answer is wanted."""
    upstream.answer = answer_with(anthropic_answer())

    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message.content[0].text == "Hello"


async def test_cut(service: RunningService, upstream: Upstream) -> None:
    """A stream that ends before its terminal marker is never OK, wherever it is cut."""
    events = anthropic_texts(*TEXTS)

    await check_cuts(service.client, upstream, events, len(b"".join(events).rstrip()))
