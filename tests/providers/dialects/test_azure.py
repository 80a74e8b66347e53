"""Azure's way with OpenAI's dialect, and what the vendor's own client makes of the same."""

import json
import ssl
from collections.abc import AsyncIterator, Sequence

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from prompt_resolver_server.domain.answers import Delta, ModelRequest
from prompt_resolver_server.domain.errors import CallError, Reason, UpstreamError
from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Parameters
from prompt_resolver_server.domain.prompts import Message, Text, Tool
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, Quirks
from prompt_resolver_server.providers.dialects.openai import AzureDialect
from prompt_resolver_server.providers.remote import RemoteProvider
from prompt_resolver_server.providers.transport.direct import DirectTransport
from tests.support.azure import BLOCKED, answer_azure, azure_events
from tests.support.remote import remote_provider
from tests.support.upstream import Exchange, Upstream

DIALECT = AzureDialect()
HI = Message(role="user", content=(Text("Hi"),))
SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
VERSION = "2024-10-21"


def request(parameters: Parameters = NO_PARAMETERS, model: str = "gpt-4o-eu") -> ModelRequest:
    return ModelRequest(
        model=model,
        messages=(HI,),
        parameters=parameters,
        tools=(Tool(name="f", parameters={"type": "object"}),),
    )


@pytest.mark.parametrize(
    ("model", "version", "path"),
    [
        (
            "gpt-4o-eu",
            VERSION,
            "/openai/deployments/gpt-4o-eu/chat/completions?api-version=2024-10-21",
        ),
        (
            "gpt-4o-eu",
            "",
            "/openai/deployments/gpt-4o-eu/chat/completions?api-version=2025-02-01-preview",
        ),
        (
            "a/b?c# é",
            "2024-10-21",
            "/openai/deployments/a%2Fb%3Fc%23%20%C3%A9/chat/completions?api-version=2024-10-21",
        ),
        ("gpt-4o-eu", "v1", "/openai/v1/chat/completions"),
        ("gpt-4o-eu", "latest", "/openai/v1/chat/completions"),
        ("gpt-4o-eu", "preview", "/openai/v1/chat/completions"),
        ("m", "a&b", "/openai/deployments/m/chat/completions?api-version=a%26b"),
    ],
)
def test_path(model: str, version: str, path: str) -> None:
    """The deployment and the version are in the URL, whatever is in their names."""
    wire = DIALECT.build(request(model=model), stream=False, quirks=Quirks(api_version=version))

    assert wire.path == path
    assert json.loads(wire.body)["model"] == model


@pytest.mark.parametrize("model", ["..", ".", "a/../b", "..\\b"])
def test_model_that_is_a_way_up(model: str) -> None:
    """No model's name leads to another place in the URL, nor would, were it read as one."""
    with pytest.raises(CallError) as caught:
        DIALECT.build(request(model=model), stream=False, quirks=Quirks())

    assert caught.value.violations[0].field == "model"


@pytest.mark.parametrize("version", ["", "2024-09-01-preview", VERSION, "v1", "preview"])
def test_fields_of_today(version: str) -> None:
    """The limit goes by the name that all models of today take."""
    parameters = Parameters(max_tokens=10, parallel_tool_calls=False)
    quirks = Quirks(api_version=version)

    wire = DIALECT.build(request(parameters), stream=True, quirks=quirks)

    body = json.loads(wire.body)
    assert body["max_completion_tokens"] == 10
    assert body["parallel_tool_calls"] is False
    assert body["stream_options"] == {"include_usage": True}
    assert "max_tokens" not in body
    assert wire.dropped == ()


def test_fields_of_old_versions() -> None:
    """A version that came before a field is not sent it; the caller is told, or refused."""
    parameters = Parameters(max_tokens=10, parallel_tool_calls=False)
    quirks = Quirks(api_version="2024-08-01-preview", lacks=frozenset({"top_k"}))

    wire = DIALECT.build(request(parameters), stream=True, quirks=quirks)
    with pytest.raises(CallError) as caught:
        insisting = ModelRequest(
            model="m",
            messages=(HI,),
            parameters=Parameters(top_k=3, parallel_tool_calls=True),
            insisted=frozenset({"top_k", "parallel_tool_calls"}),
        )
        DIALECT.build(insisting, stream=True, quirks=quirks)

    body = json.loads(wire.body)
    assert body["max_tokens"] == 10
    assert not {"max_completion_tokens", "parallel_tool_calls", "stream_options"} & body.keys()
    assert wire.dropped == ("parallel_tool_calls",)
    assert caught.value.reason == Reason.PARAMETER_UNSUPPORTED
    assert len(caught.value.violations) == 2


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, BLOCKED, Reason.CONTENT_BLOCKED),
        (404, {"code": "DeploymentNotFound", "message": "m"}, Reason.MODEL_NOT_FOUND),
        (429, {"code": "429", "message": "m"}, None),
        (401, {"code": "401", "message": "m"}, None),
    ],
)
def test_errors(status: int, error: dict[str, object], reason: Reason | None) -> None:
    """Azure's codes are known, and those that repeat the status leave it to the status."""
    assert DIALECT.classify(status, json.dumps({"error": error}).encode()) is reason


def test_status_as_text_inside_of_a_stream() -> None:
    """A code inside of a stream is a status, even where it is written as text."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    reader.feed(b'data: {"error": {"code": "429", "message": "m"}}\n\n')

    assert isinstance(reader.failure, InBandError)
    assert reader.failure.status == 429


def test_events_without_a_name() -> None:
    """An answer opens with its own id and model, whatever verdicts come before it."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    before = reader.feed(azure_events("a")[0])
    (opened,) = reader.feed(azure_events("a")[1])

    assert before == []
    assert (opened.id, opened.model) == ("chatcmpl-1", "served-model")  # type: ignore[union-attr]


@pytest.fixture
async def azure(upstream: Upstream) -> AsyncIterator[RemoteProvider]:
    """Our provider, and Azure in place of the upstream."""
    upstream.answer = answer_azure
    transport = DirectTransport(tls=ssl.create_default_context())
    yield provider_at(upstream, transport, VERSION)
    await transport.aclose()


def root_of(upstream: Upstream) -> str:
    return upstream.url.removesuffix("/v1")


def provider_at(upstream: Upstream, transport: DirectTransport, version: str) -> RemoteProvider:
    return remote_provider(
        DIALECT,
        root_of(upstream),
        transport,
        key="key-of-azure",
        stream_completions=False,
        quirks=Quirks(api_version=version),
    )


async def ignore(deltas: Sequence[Delta]) -> None:
    """Take deltas that a test has no use for."""


def sent(exchange: Exchange) -> tuple[str, str | None, str | None, dict[str, object]]:
    headers = exchange.headers
    return exchange.path, headers.get("api-key"), headers.get("authorization"), exchange.json


@pytest.mark.parametrize("streamed", [False, True])
async def test_vendors_client(upstream: Upstream, azure: RemoteProvider, streamed: bool) -> None:
    """The vendor's client sends what we send, and reads what the stand-in answers as we do."""
    parameters = Parameters(max_tokens=10, temperature=0.5)
    if streamed:
        finish = await azure.stream(request(parameters, "gpt 4o/é"), ignore, caller_key=None)
    else:
        answer = await azure.complete(request(parameters, "gpt 4o/é"), caller_key=None)
        finish = answer.finish
        assert answer.message.text == "Hello"

    async with openai.AsyncAzureOpenAI(
        azure_endpoint=root_of(upstream),
        api_version=VERSION,
        api_key="key-of-azure",
        max_retries=0,
    ) as client:
        asked = {
            "model": "gpt 4o/é",
            "messages": SAID,
            "max_completion_tokens": 10,
            "temperature": 0.5,
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
            ],
        }
        if streamed:
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(  # type: ignore[call-overload]  # any of them
                    stream=True, stream_options={"include_usage": True}, **asked
                )
            ]
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            usage = chunks[-1].usage
        else:
            whole = await client.chat.completions.create(**asked)  # type: ignore[call-overload]
            text, usage = whole.choices[0].message.content, whole.usage

    ours, theirs = map(sent, upstream.exchanges)
    assert ours == theirs
    assert ours[1:3] == ("key-of-azure", None)
    assert text == "Hello"
    assert finish.usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 2)
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (5, 2)


async def test_vendors_client_without_versions(upstream: Upstream) -> None:
    """For the API without versions the vendor's plain client asks at the same place."""
    upstream.answer = answer_azure
    transport = DirectTransport(tls=ssl.create_default_context())
    provider = provider_at(upstream, transport, "v1")
    await provider.complete(request(Parameters(max_tokens=10)), caller_key=None)
    await transport.aclose()
    async with openai.AsyncOpenAI(
        base_url=f"{root_of(upstream)}/openai/v1/", api_key="k", max_retries=0
    ) as client:
        await client.chat.completions.create(
            model="gpt-4o-eu",
            messages=SAID,
            max_completion_tokens=10,
            tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        )

    ours, theirs = upstream.exchanges
    assert (ours.path, ours.json) == (theirs.path, theirs.json)


SCHEMA: dict[str, object] = {"type": "object"}


async def test_failures_that_the_vendors_client_reads(
    upstream: Upstream, azure: RemoteProvider
) -> None:
    """What the stand-in says of a blocked prompt is that to the vendor's client, too."""

    async def block(exchange: Exchange) -> None:
        body = json.dumps({"error": BLOCKED}).encode()
        await exchange.send_response(body, status="400 Bad Request")

    upstream.answer = block
    with pytest.raises(UpstreamError) as ours:
        await azure.complete(request(), caller_key=None)
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=root_of(upstream), api_version=VERSION, api_key="k", max_retries=0
    ) as client:
        with pytest.raises(openai.BadRequestError) as theirs:
            await client.chat.completions.create(model="m", messages=SAID)

    assert ours.value.reason == Reason.CONTENT_BLOCKED
    assert theirs.value.code == "content_filter"
