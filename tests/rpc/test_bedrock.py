"""The provider `bedrock` over a real gRPC socket, with its API's stand-in on a real one."""

import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.endpoints import Endpoints, IncompleteError
from tests.support.aws import forget_credentials
from tests.support.bedrock import (
    CALL,
    REDACTED,
    SEALED,
    SIGNATURE,
    TEXT,
    THINKING,
    answer_bedrock,
    bedrock_answer,
    bedrock_stream,
    bedrock_texts,
    exception,
    stream_of,
)
from tests.support.botocore import KEY_ID, REGION, SECRET, signer_of
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.cuts import TEXTS, TRUNCATED, check_cuts
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream, answer_with

CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
SECRETS = {KEY_ID: SECRET, "id-of-row": "secret-of-row"}


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path)


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Bedrock's dialect."""
    return upstream.speak(answer_bedrock)


def write_prompts(folder: Path) -> None:
    prompts = folder / "prompts"
    greet = {"model": "some.model:0", "temperature": 0.3, "seed": 7}
    think = {"model": CLAUDE, "reasoning_effort": 2048}
    write_prompt(prompts, "greet", GREETING, provider="bedrock", **greet)
    write_prompt(prompts, "think", GREETING, provider="bedrock", **think)


@pytest.fixture
async def service(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningService]:
    """The service with a stand-in for Bedrock, to which it signs what it sends."""
    write_prompts(tmp_path)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  bedrock:
    base_url: '{upstream.url}'
    aws_access_key_id: {KEY_ID}
    aws_secret_access_key: {SECRET}
    drop_unsupported: true
model_list:
  - model_name: whole
    litellm_params: {{model: bedrock/converse/some.model, aws_session_token: token-of-row}}
  - model_name: row
    litellm_params:
      model: bedrock/some.model
      api_base: '{upstream.url}'
      aws_access_key_id: id-of-row
      aws_secret_access_key: secret-of-row
  - model_name: elsewhere
    litellm_params: {{model: bedrock/some.model, api_base: '{upstream.url}/elsewhere'}}
"""
    async with running_service(tmp_path, config, {"AWS_REGION": REGION}) as running:
        yield running


async def test_complete(service: RunningService, upstream: Upstream) -> None:
    """A prompt whose provider is Bedrock reaches it, signed, and what it lacks is told."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="Hello")]
    )
    assert (response.id, response.provider, response.model) == ("", "bedrock", "some.model:0")
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "end_turn"
    assert response.usage == pb.Usage(
        input_tokens=10, output_tokens=7, cache_read_tokens=3, cache_write_tokens=2
    )
    assert list(response.dropped_parameters) == ["seed"]
    (exchange,) = upstream.exchanges
    assert exchange.path == "/model/some.model%3A0/converse-stream"
    assert signer_of(exchange, SECRETS) == KEY_ID
    assert exchange.json == {
        "system": [{"text": "Greet in French."}],
        "messages": [{"role": "user", "content": [{"text": "Ada"}]}],
        "inferenceConfig": {"temperature": 0.3},
    }


@pytest.mark.parametrize("module", ["eventstream", "auth"])
async def test_without_the_extra(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Where botocore is not installed, the caller is told what to install, and whose it is."""
    monkeypatch.setitem(sys.modules, f"botocore.{module}", None)

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_UNKNOWN")
    assert error.metadata == {"provider": "bedrock", "extra": "bedrock"}


async def test_stream(service: RunningService, upstream: Upstream) -> None:
    """A streamed answer arrives in order, with the same end as a whole one."""
    whole = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)

    assert streamed.error is None
    assert (streamed.kinds[0], streamed.text) == ("started", "Hello")
    assert streamed.events[0].started.model == "some.model:0"
    assert streamed.finished.model == whole.model
    assert streamed.finished.usage == whole.usage
    assert streamed.finished.raw_finish_reason == whole.raw_finish_reason
    assert streamed.finished.dropped_parameters == whole.dropped_parameters


async def test_tool_round_trip(service: RunningService, upstream: Upstream) -> None:
    """Thoughts come back signed, in their order, and go out again as they came, with the result."""
    blocks = (THINKING, REDACTED, TEXT, CALL)
    upstream.answer = stream_of(*bedrock_stream(*blocks, stop="tool_use"))
    tool = pb.Tool(name="find", description="Finds.")
    asked = await service.client.complete("think", variables=VARIABLES, tools=[tool])
    upstream.answer = answer_bedrock
    result = pb.Message(
        role=pb.ROLE_TOOL, tool_call_id="tooluse_1", content=[pb.ContentPart(text="42")]
    )

    answered = await service.client.complete(
        "think", variables=VARIABLES, tools=[tool], messages=[asked.message, result]
    )

    assert asked.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    signed, sealed = (part.reasoning for part in asked.message.content[:2])
    assert (signed.text, signed.signature) == ("Hm, well.", SIGNATURE.encode())
    assert (sealed.text, sealed.redacted) == ("", b64encode(SEALED))
    assert asked.message.tool_calls[0].arguments_json == '{"a":[1,2]}'
    assert answered.message.content[0].text == "Hello"
    first, second = (exchange.json for exchange in upstream.exchanges)
    thinking = {"type": "enabled", "budget_tokens": 2048}
    assert first["additionalModelRequestFields"] == {"thinking": thinking}
    messages = second["messages"]
    assert isinstance(messages, list)
    returned = {"toolUseId": "tooluse_1", "content": [{"text": "42"}]}
    assert messages[1:] == [
        {"role": "assistant", "content": list(blocks)},
        {"role": "user", "content": [{"toolResult": returned}]},
    ]


async def test_whose_key(service: RunningService, upstream: Upstream) -> None:
    """A key goes as it is; a row signs with its own; no address gets what is not for it."""
    said = [pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])]
    key = {"x-provider-key-bedrock": "key-of-caller"}

    await service.client.complete("greet", variables=VARIABLES, credentials=key)
    for alias in ("whole", "row", "elsewhere"):
        await service.client.complete(alias=alias, messages=said)

    by_caller, whole, row, elsewhere = upstream.exchanges
    assert by_caller.headers["authorization"] == "Bearer key-of-caller"
    assert "x-amz-date" not in by_caller.headers
    assert whole.path == "/model/some.model/converse-stream"
    assert signer_of(whole, SECRETS) == KEY_ID
    assert whole.headers["x-amz-security-token"] == "token-of-row"
    assert signer_of(row, SECRETS) == "id-of-row"
    assert "authorization" not in elsewhere.headers


async def test_bearer_token(tmp_path: Path, upstream: Upstream) -> None:
    """A key in the customary variable is used in place of a signature, at the customary address."""
    write_prompts(tmp_path)
    config = """
stores: {local: {type: directory, path: prompts}}
providers: {bedrock: {stream_completions: false, drop_unsupported: true}}
"""
    variables = {
        "AWS_BEARER_TOKEN_BEDROCK": "key-of-bedrock",
        "AWS_BEDROCK_RUNTIME_ENDPOINT": upstream.url,
    }
    async with running_service(tmp_path, config, variables) as service:
        response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message.content[0].text == "Hello"
    (exchange,) = upstream.exchanges
    assert exchange.path == "/model/some.model%3A0/converse"
    assert exchange.headers["authorization"] == "Bearer key-of-bedrock"


async def test_no_credentials(tmp_path: Path, upstream: Upstream) -> None:
    """Where nothing lets us in, nothing is sent, and the error tells what would."""
    write_prompts(tmp_path)
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{bedrock: {{base_url: '{upstream.url}', drop_unsupported: true}}}}
"""
    async with running_service(tmp_path, config, {"AWS_REGION": REGION}) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    assert error.metadata["provider"] == "bedrock"
    assert "AWS_BEARER_TOKEN_BEDROCK" in str(error)
    assert upstream.exchanges == []


@pytest.mark.parametrize("variable", ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"])
def test_where_it_is(tmp_path: Path, variable: str) -> None:
    """The region says where Bedrock is; without one it cannot be called."""
    config = tmp_path / "config.yaml"
    config.write_text("{}")

    there = Endpoints(load_configuration(config, {variable: "eu-west-3"})).of_provider("bedrock")

    assert there.base_url == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    with pytest.raises(IncompleteError) as caught:
        Endpoints(load_configuration(config, {})).of_provider("bedrock")
    assert variable in caught.value.needs.split(" or ")


async def test_other_routes(service: RunningService, upstream: Upstream) -> None:
    """What LiteLLM would send another way is refused, before anything is sent."""
    error = await failure(
        service.client.complete("greet", variables=VARIABLES, model="bedrock/invoke/some.model")
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert [violation.field for violation in error.violations] == ["model"]
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("403 Forbidden", "m", (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH")),
        ("404 Not Found", "m", (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")),
        ("424 Failed Dependency", "m", (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")),
        ("503 Unavailable", "m", (StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED")),
        (
            "400 Bad Request",
            "Input is too long for their words.",
            (StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH"),
        ),
    ],
)
async def test_refusals(
    service: RunningService,
    upstream: Upstream,
    status: str,
    message: str,
    expected: tuple[StatusCode, str],
) -> None:
    """A refusal is told by its status, and quotes nothing of it."""
    upstream.answer = answer_with(f'{{"message": "{message}"}}'.encode(), status=status)

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == expected
    assert "their words" not in str(error)


async def test_failure_inside(service: RunningService, upstream: Upstream) -> None:
    """A failure inside of a stream is one of the call, after what came before it."""
    begin, text, *_ = bedrock_texts("Hello")
    upstream.answer = stream_of(begin, text, exception("throttlingException", "their words"))

    streamed = await collect(service.client)

    assert streamed.text == "Hello"
    assert status_of(streamed.error) == (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")
    assert "their words" not in str(streamed.error)


async def test_whole_answer_in_place_of_a_stream(
    service: RunningService, upstream: Upstream
) -> None:
    """A server that does not stream is understood where a whole answer is wanted."""
    upstream.answer = answer_with(bedrock_answer({"text": "Hello"}))

    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message.content[0].text == "Hello"


async def test_cut(service: RunningService, upstream: Upstream) -> None:
    """A stream is OK if it is cut after its terminal marker, and never if it is before."""
    messages = bedrock_texts(*TEXTS)
    *answered, usage = messages

    await check_cuts(
        service.client,
        upstream,
        messages,
        len(b"".join(answered)),
        answer=stream_of,
        inside=TRUNCATED,
    )
    for portion in (b"", usage[: len(usage) // 2], usage):
        upstream.answer = stream_of(*answered, portion)
        streamed = await collect(service.client)
        assert (streamed.text, streamed.error) == ("".join(TEXTS), None)
        assert streamed.finished.HasField("usage") is (portion == usage)
