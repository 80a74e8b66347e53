"""The names of OpenTelemetry's conventions, and what stands under them."""

import pytest

from prompt_resolver_server.domain.answers import Finish, ModelRequest, Usage
from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.tracing.attributes import (
    Attributes,
    describe_answer,
    describe_request,
)


def described(
    provider: str = "openai",
    base_url: str = "https://api.openai.com/v1",
    parameters: Parameters | None = None,
) -> Attributes:
    request = ModelRequest(model="m", messages=(), parameters=parameters or Parameters())
    return describe_request(
        provider=provider, base_url=base_url, request=request, served=None, stream=True
    )


def test_parameters() -> None:
    """Parameters that are numbers are told; texts that a caller chose are not."""
    everything = Parameters(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=100,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=("a caller's text",),
        reasoning_effort="a caller's text",
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="a caller's text", schema={})
        ),
        extra={"user": "a caller's text"},
    )

    attributes = described(parameters=everything)

    assert {name: attributes[name] for name in attributes if name not in described()} == {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.output.type": "json",
    }
    assert "a caller's text" not in str(attributes)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("gemini", "gcp.gemini"),
        ("vertex_ai", "gcp.vertex_ai"),
        ("bedrock", "aws.bedrock"),
        ("azure", "azure.ai.openai"),
        ("cohere", "cohere"),
        ("mine", "mine"),
    ],
)
def test_provider_names(provider: str, expected: str) -> None:
    """A provider has the name that the conventions give it, else its own."""
    assert described(provider)["gen_ai.provider.name"] == expected


@pytest.mark.parametrize(
    ("base_url", "address", "port"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443),
        ("http://127.0.0.1:8080/v1", "127.0.0.1", 8080),
        ("http://user:word@[::1]/x?key=word", "::1", 80),
        ("", None, None),
    ],
)
def test_address(base_url: str, address: str | None, port: int | None) -> None:
    """Of an address the host and the port are told, and nothing that may be a secret."""
    attributes = described(base_url=base_url)

    assert attributes.get("server.address") == address
    assert attributes.get("server.port") == port
    assert "word" not in str(attributes)


def test_usage() -> None:
    """Every count has a name; what the provider did not say is not told."""
    usage = Usage(
        input_tokens=5,
        output_tokens=4,
        cache_read_tokens=3,
        cache_write_tokens=0,
        reasoning_tokens=1,
    )
    finish = Finish(reason="length", raw_reason="max_tokens", model="m-1", usage=usage)

    assert describe_answer("id", finish) == {
        "gen_ai.response.id": "id",
        "gen_ai.response.model": "m-1",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 1,
    }
    nothing = Finish(reason="stop", raw_reason="stop", model="m-1", usage=Usage())
    assert "usage" not in str(describe_answer("", nothing))
