"""The provider `gemini` over a real gRPC socket, with its API's stand-in on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf import struct_pb2
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import (
    VARIABLES,
    collect,
    failure,
    put_together,
    status_of,
)
from tests.support.cuts import TEXTS, check_cuts
from tests.support.gemini import (
    BARE_CALL,
    CALL,
    SIGNATURE,
    SIGNED_TEXT,
    SIGNED_THOUGHT,
    Fields,
    answer_gemini,
    chunk,
    frame,
    gemini_answer,
    gemini_error,
    gemini_stream,
    gemini_texts,
    send_gemini,
)
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Answer, Exchange, Upstream, answer_with

SYSTEM: Fields = {"parts": [{"text": "Greet in French."}]}
USER: Fields = {"role": "user", "parts": [{"text": "Ada"}]}


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Gemini's dialect."""
    return upstream.speak(answer_gemini)


@pytest.fixture
async def service(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningService]:
    """The service with a stand-in for Gemini, whose key is in a customary variable."""
    prompts = tmp_path / "prompts"
    header = {"model": "gemini-some", "provider": "google"}
    write_prompt(prompts, "greet", GREETING, **header, temperature=0.3, seed=7)
    write_prompt(prompts, "think", GREETING, **header, reasoning_effort="high", max_tokens=-1)
    write_prompt(prompts, "other", GREETING, model="gpt", provider="openai")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  gemini: {{base_url: '{upstream.url}'}}
  openai: {{base_url: '{upstream.url}/v1', api_key: key-of-openai}}
  relay: {{dialect: gemini, base_url: '{upstream.url}/relay', api_key: key-of-relay}}
model_list:
  - model_name: plain
    litellm_params: {{model: humanloop/gemini/gemini-of-alias}}
"""
    async with running_service(tmp_path, config, {"GEMINI_API_KEY": "key-of-gemini"}) as running:
        yield running


def both(*parts: Fields, finish: str = "STOP") -> Answer:
    """Return a provider that says this, whole or streamed."""

    async def answer(exchange: Exchange) -> None:
        whole = gemini_answer(*parts, finish=finish)
        await send_gemini(exchange, whole, gemini_stream(*parts, finish=finish))

    return answer


async def test_complete(service: RunningService, upstream: Upstream) -> None:
    """A prompt whose provider is Google reaches it, by the key of its variable."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="Hello")]
    )
    assert (response.id, response.provider, response.model) == ("resp_1", "gemini", "served-model")
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "STOP"
    assert response.usage == pb.Usage(
        input_tokens=10, output_tokens=7, cache_read_tokens=3, reasoning_tokens=3
    )
    assert list(response.dropped_parameters) == []
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v1beta/models/gemini-some:streamGenerateContent?alt=sse"
    assert exchange.headers["x-goog-api-key"] == "key-of-gemini"
    assert "authorization" not in exchange.headers
    assert exchange.json == {
        "systemInstruction": SYSTEM,
        "contents": [USER],
        "generationConfig": {"temperature": 0.3, "seed": 7},
    }


async def test_stream(service: RunningService, upstream: Upstream) -> None:
    """A streamed answer arrives in order, with the same end as a whole one."""
    whole = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)

    assert streamed.error is None
    assert (streamed.kinds[0], streamed.text) == ("started", "Hello")
    assert streamed.events[0].started.id == "resp_1"
    assert streamed.finished.usage == whole.usage
    assert streamed.finished.raw_finish_reason == whole.raw_finish_reason


async def test_tool_round_trip(service: RunningService, upstream: Upstream) -> None:
    """Thoughts, texts and calls come back signed and go out again as they came, with results."""
    upstream.answer = both(SIGNED_THOUGHT, SIGNED_TEXT, CALL, BARE_CALL)
    schema = struct_pb2.Struct()
    schema.update({"type": "object"})
    tools = [pb.Tool(name="find", description="Finds.", parameters=schema), pb.Tool(name="now")]
    message = (await service.client.complete("think", variables=VARIABLES, tools=tools)).message
    upstream.answer = answer_gemini
    results = [
        pb.Message(
            role=pb.ROLE_TOOL, tool_call_id=asked.id, content=[pb.ContentPart(text=asked.name)]
        )
        for asked in message.tool_calls
    ]

    answered = await service.client.complete(
        "think", variables=VARIABLES, tools=tools, messages=[message, *results]
    )

    assert [part.WhichOneof("part") for part in message.content] == [
        "reasoning",
        "text",
        "reasoning",
    ]
    thought, _, seal = (part.reasoning for part in message.content)
    assert (thought.text, thought.signature) == ("Hm, wéll.", SIGNATURE.encode())
    assert (seal.text, seal.signature) == ("", SIGNATURE.encode())
    assert message.tool_calls[0].signature == SIGNATURE.encode()
    assert answered.message.content[0].text == "Hello"
    first, second = (exchange.json for exchange in upstream.exchanges)
    declared = {"name": "find", "description": "Finds."}
    assert first["tools"] == [
        {
            "functionDeclarations": [
                {**declared, "parametersJsonSchema": {"type": "object"}},
                {"name": "now"},
            ]
        }
    ]
    assert first["generationConfig"] == {
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"}
    }
    named = {"functionCall": {"id": "call_1_resp_1", "name": "now", "args": {}}}
    assert second["contents"] == [
        USER,
        {"role": "model", "parts": [SIGNED_THOUGHT, SIGNED_TEXT, CALL, named]},
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": asked.id,
                        "name": asked.name,
                        "response": {"output": asked.name},
                    }
                }
                for asked in message.tool_calls
            ],
        },
    ]


async def test_same_message_either_way(service: RunningService, upstream: Upstream) -> None:
    """What a caller puts together from a stream is what a whole answer would have been."""
    upstream.answer = both(SIGNED_THOUGHT, SIGNED_TEXT, CALL, BARE_CALL)

    whole = await service.client.complete("think", variables=VARIABLES)
    streamed = await collect(service.client, "think")

    assert put_together(streamed) == whole.message
    assert whole.finish_reason == pb.FINISH_REASON_TOOL_CALLS


async def test_whose_key(service: RunningService, upstream: Upstream) -> None:
    """A key goes to the provider that it is for, and to no other, whoever names the model."""
    credentials = {
        "x-provider-key-openai": "openai-key-of-caller",
        "x-provider-key-gemini": "gemini-key-of-caller",
    }
    call = service.client.complete
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])

    await call("greet", variables=VARIABLES)
    await call("greet", variables=VARIABLES, credentials=credentials)
    await call("other", variables=VARIABLES, model="gemini/gemini-of-request")
    await call(alias="plain", messages=[said])
    await call("greet", variables=VARIABLES, model="relay/gemini-of-relay")

    assert [
        (exchange.path.partition(":")[0], exchange.headers["x-goog-api-key"])
        for exchange in upstream.exchanges
    ] == [
        ("/v1beta/models/gemini-some", "key-of-gemini"),
        ("/v1beta/models/gemini-some", "gemini-key-of-caller"),
        ("/v1beta/models/gemini-of-request", "key-of-gemini"),
        ("/v1beta/models/gemini-of-alias", "key-of-gemini"),
        ("/relay/v1beta/models/gemini-of-relay", "key-of-relay"),
    ]
    assert all("openai" not in str(exchange.headers) for exchange in upstream.exchanges)


async def test_model_of_a_request(service: RunningService, upstream: Upstream) -> None:
    """A model that a caller names stays a part of the path, or is refused."""
    error = await failure(
        service.client.complete("greet", variables=VARIABLES, model="gemini/../../other")
    )
    assert [violation.field for violation in error.violations] == ["model"]

    model = "gemini/a/other?key=x#y"
    await service.client.complete("greet", variables=VARIABLES, model=model)

    (exchange,) = upstream.exchanges
    assert exchange.path == ("/v1beta/models/a%2Fother%3Fkey%3Dx%23y:streamGenerateContent?alt=sse")


async def test_blocked_prompt(service: RunningService, upstream: Upstream) -> None:
    """A prompt that is blocked is an error, and no empty answer."""

    async def block(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(frame({"promptFeedback": {"blockReason": "SAFETY"}}))
        exchange.writer.close()

    upstream.answer = block

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "CONTENT_BLOCKED")


async def test_filtered_answer(service: RunningService, upstream: Upstream) -> None:
    """An answer that was stopped for what is in it says so."""
    upstream.answer = both(finish="SAFETY")

    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.finish_reason == pb.FINISH_REASON_CONTENT_FILTER
    assert response.raw_finish_reason == "SAFETY"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            "503 Service Unavailable",
            gemini_error("UNAVAILABLE", "The model is overloaded: their words", code=503),
            (StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED"),
        ),
        (
            "400 Bad Request",
            gemini_error("INVALID_ARGUMENT", "The input token count (their words) exceeds"),
            (StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH"),
        ),
        (
            "400 Bad Request",
            gemini_error("INVALID_ARGUMENT", "their words", {"reason": "API_KEY_INVALID"}),
            (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH"),
        ),
        (
            "400 Bad Request",
            b"[" + gemini_error("FAILED_PRECONDITION", "their words") + b"]",
            (StatusCode.INVALID_ARGUMENT, "UPSTREAM_REJECTED"),
        ),
    ],
)
async def test_refusals(
    service: RunningService,
    upstream: Upstream,
    status: str,
    body: bytes,
    expected: tuple[StatusCode, str],
) -> None:
    """A refusal is told by its status, and quotes nothing of it."""
    upstream.answer = answer_with(body, status=status)

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == expected
    assert "their words" not in str(error)


async def test_connection_that_breaks_after_the_reason(
    service: RunningService, upstream: Upstream
) -> None:
    """A finish reason does not end an answer whose stream has not: more might have come."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        event = frame(chunk({"text": "Hello"}, finish="STOP"))
        await exchange.send(b"%x\r\n%s\r\n" % (len(event), event))
        exchange.writer.close()

    upstream.answer = answer

    streamed = await collect(service.client)

    assert streamed.text == "Hello"
    assert streamed.error is not None
    assert status_of(streamed.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")


async def test_whole_answer_in_place_of_a_stream(
    service: RunningService, upstream: Upstream
) -> None:
    """A server that does not stream is understood where a whole answer is wanted."""
    upstream.answer = answer_with(gemini_answer())

    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message.content[0].text == "Hello"


async def test_cut(service: RunningService, upstream: Upstream) -> None:
    """A stream that ends before its finish reason is never OK, wherever it is cut."""
    events = gemini_texts(*TEXTS)

    await check_cuts(service.client, upstream, events, len(b"".join(events).rstrip()))
