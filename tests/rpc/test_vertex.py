"""The provider `vertex_ai` over a real gRPC socket, with stand-ins for it and for its tokens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.gemini import answer_gemini
from tests.support.google import ServiceAccount, TokenEndpoint, running_token_endpoint
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream

BODY = "<user>\n{{name}}\n</user>"
PLACE = "/v1beta1/projects/p/locations/l"


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    """What gives tokens."""
    async with running_token_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def service(
    tmp_path: Path, upstream: Upstream, endpoint: TokenEndpoint
) -> AsyncIterator[RunningService]:
    """The service with credentials of an account that was made just now."""
    upstream.answer = answer_gemini
    url = upstream.url.removesuffix("/v1")
    (tmp_path / "account.json").write_text(ServiceAccount(endpoint).json)
    prompts = tmp_path / "prompts"
    write_prompt(prompts, "greet", BODY, model="gemini-some", provider="vertex_ai")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  vertex_ai:
    base_url: '{url}{PLACE}'
    vertex_credentials: 'file:{tmp_path}/account.json'
model_list:
  - model_name: elsewhere
    litellm_params: {{model: vertex_ai/gemini-other, api_base: '{url}/elsewhere', prompt_id: greet}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def test_token(service: RunningService, upstream: Upstream, endpoint: TokenEndpoint) -> None:
    """Calls carry one token, which the account's credentials got, and reach the model's path."""
    response = await service.client.complete("greet", variables=VARIABLES)
    streamed = await collect(service.client)
    await service.client.complete("greet", variables=VARIABLES, model="vertex_ai/1234567890")

    assert (response.provider, response.message.content[0].text) == ("vertex_ai", "Hello")
    assert (streamed.text, streamed.error) == ("Hello", None)
    method = "streamGenerateContent?alt=sse"
    assert [exchange.path for exchange in upstream.exchanges] == [
        f"{PLACE}/publishers/google/models/gemini-some:{method}",
        f"{PLACE}/publishers/google/models/gemini-some:{method}",
        f"{PLACE}/endpoints/1234567890:{method}",
    ]
    tokens = {exchange.headers["authorization"] for exchange in upstream.exchanges}
    assert (tokens, endpoint.given) == ({"Bearer token-1"}, 1)


async def test_key_of_a_caller(
    service: RunningService, upstream: Upstream, endpoint: TokenEndpoint
) -> None:
    """A caller's own key goes as it is, and no token beside it."""
    credentials = {"x-provider-key-vertex_ai": "key-of-caller"}

    await service.client.complete("greet", variables=VARIABLES, credentials=credentials)

    (exchange,) = upstream.exchanges
    assert exchange.headers["x-goog-api-key"] == "key-of-caller"
    assert "authorization" not in exchange.headers
    assert endpoint.given == 0


async def test_address_of_a_row(
    service: RunningService, upstream: Upstream, endpoint: TokenEndpoint
) -> None:
    """A token goes to no address but the one that its credentials were configured for."""
    await service.client.complete(alias="elsewhere", variables=VARIABLES)

    (exchange,) = upstream.exchanges
    assert exchange.path.startswith("/elsewhere/publishers/google/models/gemini-other:")
    assert "authorization" not in exchange.headers
    assert endpoint.given == 0


async def test_refused_credentials(
    service: RunningService, upstream: Upstream, endpoint: TokenEndpoint
) -> None:
    """Credentials that are refused are told as a key that is, and quote nothing."""
    endpoint.refusal = "invalid_grant"

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH")
    assert "their words" not in str(error)
    assert upstream.exchanges == []


async def test_no_credentials(tmp_path: Path, upstream: Upstream) -> None:
    """Credentials that are none are missing, before anything is sent."""
    write_prompt(tmp_path / "prompts", "greet", BODY, model="m", provider="vertex_ai")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{vertex_ai: {{base_url: '{upstream.url}', vertex_credentials: '{{}}'}}}}
"""
    async with running_service(tmp_path, config) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    assert error.metadata["provider"] == "vertex_ai"
    assert upstream.exchanges == []


async def test_nowhere(tmp_path: Path) -> None:
    """Without a project there is nobody to ask, which is told by what to set."""
    write_prompt(tmp_path / "prompts", "greet", BODY, model="m", provider="vertex_ai")
    config = "stores: {local: {type: directory, path: prompts}}"
    async with running_service(tmp_path, config, {"VERTEX_LOCATION": "global"}) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_UNKNOWN")
    assert "providers.vertex_ai.vertex_project" in str(error)
