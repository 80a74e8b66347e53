"""Of what a call carries beside its message, nothing goes further but what is meant to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.rpc.server import SERVICE
from tests.support.http import HttpDoor
from tests.support.humanloop import HumanloopApi, running_humanloop
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream

SENT = {
    "authorization": "Bearer token-of-fake",
    "x-prompt-store-key": "key-of-caller",
    "x-provider-key-fake": "key-for-fake",
    "x-provider-key-other": "key-for-other",
    "x-request-id": "id-of-caller",
    "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
    "tracestate": "made=up",
    "baggage": "made=up",
    "cookie": "made=up",
    "forwarded": "for=192.0.2.1",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "elsewhere.invalid",
    "x-api-key": "key-of-nobody",
    "api-key": "key-of-nobody",
    "x-goog-api-key": "key-of-nobody",
    "proxy-authorization": "Basic bWFkZQ==",
    "openai-organization": "made-up",
    "anthropic-beta": "made-up",
    "if-none-match": "made-up",
    "range": "bytes=0-1",
    "x-made-up": "made-up",
}
TO_THE_PROVIDER = {
    *("host", "accept", "accept-encoding", "content-type", "user-agent", "content-length"),
    "authorization",
}
TO_THE_STORE = {*("host", "accept", "accept-encoding", "connection", "user-agent"), "x-api-key"}


Call = Callable[[RunningService], Awaitable[None]]


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as running:
        running.keys = ("key-of-caller",)
        running.put("a/b", prompt_id="pr_1", template=[{"role": "user", "content": "Hi"}])
        yield running


@pytest.fixture
async def service(
    tmp_path: Path, api: HumanloopApi, upstream: Upstream
) -> AsyncIterator[RunningService]:
    config = f"""
stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: key-of-server}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-server}}}}
general_settings: {{master_key: token-of-fake}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


async def call_grpc(service: RunningService) -> None:
    request = pb.CompleteRequest(prompt=pb.PromptRef(id="pr_1")).SerializeToString()
    async with open_channel(service.address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/Complete"
        )
        await call(request, metadata=tuple(SENT.items()), timeout=10)


async def call_http(service: RunningService) -> None:
    door = HttpDoor(service.http_url, SENT)
    answer = await door.chat(model="fake/some-model", prompt_id="pr_1")
    assert answer.status == 200


@pytest.mark.parametrize("call", [call_grpc, call_http])
async def test_what_goes_on(
    service: RunningService, api: HumanloopApi, upstream: Upstream, call: Call
) -> None:
    """The store and the provider hear of their own key, and of nothing else that a call carries."""
    await call(service)

    (to_store,), (to_provider,) = api.exchanges, upstream.exchanges
    assert to_store.headers.keys() <= TO_THE_STORE
    assert to_provider.headers.keys() <= TO_THE_PROVIDER
    assert to_store.headers["x-api-key"] == "key-of-caller"
    assert to_provider.headers["authorization"] == "Bearer key-for-fake"
    texts = [*to_store.headers.values(), *to_provider.headers.values(), to_provider.body.decode()]
    assert not [text for text in texts if "made" in text or "192.0.2" in text or "id-of" in text]
