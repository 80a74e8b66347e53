"""What the HTTP door does with every call: who may call, ids, limits, and its end."""

import asyncio
import errno
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import Blame, Reason, ResolverError
from prompt_resolver_server.entry.admission import CallClass, Gate, make_gates
from prompt_resolver_server.entry.caller import Caller
from prompt_resolver_server.entry.running import Running
from prompt_resolver_server.http.browsers import keep_pages_out
from prompt_resolver_server.http.calls import Handle, HttpCall, HttpCalls
from prompt_resolver_server.http.openai.errors import OpenAIErrors
from prompt_resolver_server.http.status import STATUSES, may_try_again, status_of
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.tracing import NO_TRACER, CallSpan, Tracer
from prompt_resolver_server.tracing.spans import Metadata
from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.service import running_service, service_process
from tests.support.serving import make_serving
from tests.support.upstream import Exchange, Upstream, openai_answer

PROTECTED = """
general_settings: {master_key: key-of-all}
callers: {shop: {token: key-of-shop}}
model_list: [{model_name: m, litellm_params: {model: echo/m, prompt_id: extract/invoice}}]
"""
LONGER_THAN_BUFFERS = 32 * 1024 * 1024
ASKED = {"model": "m", "prompt_variables": {"text": "Invoice 1"}}


def test_every_reason_has_a_status() -> None:
    """Each reason has a status, and none that invites to repeat what cannot succeed."""
    assert set(STATUSES) == set(Reason)
    for reason in Reason:
        for blame in Blame:
            error = ResolverError(reason, "", blame=blame)
            assert 400 <= status_of(error) < 600
            if may_try_again(error):
                assert status_of(error) in (429, 503)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer key-of-all", 200),
        ("Bearer key-of-shop", 200),
        ("bearer key-of-all", 200),
        ("Bearer key-of-others", 401),
        ("Bearer", 401),
        ("Basic key-of-all", 401),
        ("", 401),
    ],
)
async def test_tokens(tmp_path: Path, authorization: str, status: int) -> None:
    """With keys configured, a call needs one of them, on every route."""
    async with running_service(tmp_path, PROTECTED) as service:
        headers = {"Authorization": authorization} if authorization else {}
        door = HttpDoor(service.http_url, headers)
        answer = await door.chat(**ASKED)
        models = await door.get("/v1/models")

    assert (answer.status, models.status) == (status, status)
    if status == 401:
        assert answer.error["code"] == "invalid_api_key"
        assert answer.error["type"] == "authentication_error"


@pytest.mark.parametrize("header", ["api-key", "x-api-key", "x-litellm-api-key"])
async def test_tokens_in_other_headers(tmp_path: Path, header: str) -> None:
    """Clients of LiteLLM's may send their key as they do there."""
    async with running_service(tmp_path, PROTECTED) as service:
        for token in ("key-of-shop", "Bearer key-of-shop"):
            assert (await HttpDoor(service.http_url, {header: token}).chat(**ASKED)).status == 200
        refused = await HttpDoor(service.http_url, {header: "key-of-others"}).chat(**ASKED)
        # Such as a gateway's own, which it passes on.
        both = {header: "key-of-others", "Authorization": "Bearer key-of-shop"}
        several = {"api-key": "key-of-shop", "x-api-key": "a-gateways"}
        assert (await HttpDoor(service.http_url, several).chat(**ASKED)).status == 200
        assert (await HttpDoor(service.http_url, both).chat(**ASKED)).status == 200

    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")


async def test_any_bearer_where_no_key_is_configured(door: HttpDoor) -> None:
    """A door on loopback without keys takes any bearer, as the examples of OpenAI's client do."""
    answer = await HttpDoor(door.url, {"Authorization": "Bearer anything"}).get("/v1/models")

    assert answer.status == 200


async def test_no_open_door_beyond_loopback(tmp_path: Path) -> None:
    """A door beyond loopback does not open without a key, or the word that says it may."""
    address = {"PROMPT_RESOLVER_HTTP_ADDRESS": "0.0.0.0:0"}

    with pytest.raises(ConfigError) as refused:
        async with running_service(tmp_path, "", address):
            pass

    assert str(refused.value).startswith(("variable PROMPT_RESOLVER_HTTP_ADDRESS: expected gen",))


async def test_keys_of_the_callers_own(door: HttpDoor, upstream: Upstream) -> None:
    """A key in a header named after a provider goes to that provider, and one for another not."""
    document = {"model": "greeter", "prompt_variables": VARIABLES}
    own = await door.post(
        "/v1/chat/completions", document, x_provider_key_fake="mine", x_provider_key_openai="other"
    )
    await door.post("/v1/chat/completions", document, x_provider_key_openai="other")

    assert own.status == 200
    sent = [exchange.headers["authorization"] for exchange in upstream.exchanges]
    assert sent == ["Bearer mine", "Bearer key-of-fake"]


async def test_request_ids(
    door: HttpDoor, caplog: pytest.LogCaptureFixture, upstream: Upstream
) -> None:
    """A call keeps the id that it brings, or gets one, and its log tells the trace as well."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    with caplog.at_level(logging.INFO):
        answer = await door.post(
            "/v1/chat/completions",
            {"model": "none"},
            x_request_id="call-7",
            traceparent=f"00-{trace}-b7ad6b7169203331-01",
        )
    other = await door.get("/v1/models", x_request_id="not one\u00e9")

    assert answer.headers["x-request-id"] == "call-7"
    assert len(other.headers["x-request-id"]) == 32
    logged = next(each for each in caplog.records if each.message == "a call failed")
    assert (vars(logged)["request_id"], vars(logged)["trace_id"]) == ("call-7", trace)


async def test_limits_are_those_of_the_engine(tmp_path: Path, upstream: Upstream) -> None:
    """Calls of both doors count for one limit; beyond it the HTTP door says 429."""
    config = f"""
server: {{max_completions: 1}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
model_list: [{{model_name: m, litellm_params: {{model: fake/m}}}}]
"""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        begun.set()
        await may_end.wait()
        await exchange.send_response(openai_answer())

    upstream.answer = slow
    async with running_service(tmp_path, config) as service:
        door = HttpDoor(service.http_url)
        said = [{"role": "user", "content": "hi"}]
        first = asyncio.ensure_future(
            service.client.complete("extract/invoice", model="fake/m", variables={"text": "x"})
        )
        await begun.wait()
        refused = await door.chat(model="m", messages=said)
        may_end.set()
        await first
        served = await door.chat(model="m", messages=said)

    assert (refused.status, refused.error["reason"]) == (429, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert served.status == 200


def test_options_of_litellms_command(tmp_path: Path) -> None:
    """`--config`, `--port`, `--host` and `--detailed_debug` mean what they mean there."""
    write_prompt(tmp_path, "greet", "<user>\nHi {{name}}\n</user>")
    config = tmp_path / "config.yaml"
    config.write_text("stores: {local: {type: directory, path: .}}")

    with service_process(
        "--config", str(config), "--port", "0", "--host", "localhost", "--detailed_debug"
    ) as service:
        address = service.door("http")
        code, log = service.stop()

    assert address.startswith("localhost:")
    assert code == 0
    assert "the log has prompts and variables in it" in json.loads(log.splitlines()[0])["message"]


async def fail(call: HttpCall, caller: Caller) -> web.StreamResponse:
    raise ValueError


async def refuse(call: HttpCall, caller: Caller) -> web.StreamResponse:
    raise ResolverError(Reason.PROMPT_NOT_FOUND, "")


async def time_out(call: HttpCall, caller: Caller) -> web.StreamResponse:
    raise TimeoutError(errno.ETIMEDOUT, "timed out")


class FaultyTracer:
    """A `Tracer` that begins no span."""

    def begin_rpc(self, method: str, metadata: Metadata) -> CallSpan:
        raise ValueError

    def begin_http(self, method: str, route: str, metadata: Metadata) -> CallSpan:
        raise ValueError

    async def aclose(self) -> None: ...


@asynccontextmanager
async def serving_door(
    metrics: Metrics,
    handlers: Mapping[str, Handle],
    *,
    gates: Mapping[CallClass, Gate] = MappingProxyType({}),
    running: Running | None = None,
    tracer: Tracer = NO_TRACER,
) -> AsyncIterator[HttpDoor]:
    """Serve each handler at the path of its name."""
    async with AsyncExitStack() as stack:
        serving = make_serving(stack)
        calls = HttpCalls(
            serving=serving,
            check=keep_pages_out(serving),
            gates=gates,
            running=running or Running(),
            metrics=metrics,
            tracer=tracer,
        )
        app = web.Application()
        for name, handle in handlers.items():
            app.router.add_get(f"/{name}", calls.wrap(name, handle, OpenAIErrors()))
        server = await stack.enter_async_context(TestServer(app))
        yield HttpDoor(str(server.make_url("")).rstrip("/"))


async def statuses(
    metrics: Metrics,
    handlers: Mapping[str, Handle],
    *,
    running: Running | None = None,
    tracer: Tracer = NO_TRACER,
) -> list[int]:
    """Return the status of one call of each handler."""
    async with serving_door(metrics, handlers, running=running, tracer=tracer) as door:
        return [(await door.get(f"/{name}")).status for name in handlers]


async def test_end_that_is_held_back() -> None:
    """An answer comes once calls may end again, takes no room meanwhile, and closes."""
    metrics = Metrics(CollectorRegistry(), version="test")
    running, gates = Running(), make_gates({"complete": 1}, metrics)
    handled = asyncio.Event()

    async def enter(call: HttpCall, caller: Caller) -> web.StreamResponse:
        call.enter("complete")
        handled.set()
        return web.Response()

    running.hold()
    async with serving_door(metrics, {"greet": enter}, gates=gates, running=running) as door:
        answer = asyncio.ensure_future(door.get("/greet"))
        await handled.wait()
        again = asyncio.ensure_future(door.get("/greet"))
        handled.clear()
        await handled.wait()
        assert not answer.done()
        running.refuse()
        running.release()
        answers = [await answer, await again]

    assert [each.status for each in answers] == [200, 200]
    assert [each.headers["Connection"] for each in answers] == ["close", "close"]


async def test_faults_are_counted() -> None:
    """A fault of ours is counted for whoever mends it, and what a caller asks amiss is not."""
    metrics = Metrics(CollectorRegistry(), version="test")

    answers = await statuses(metrics, {"absent": refuse, "fault": fail})

    assert answers == [404, 500]
    assert metrics.registry.get_sample_value("prompt_resolver_internal_errors_total") == 1


async def test_timeout_that_is_no_deadline() -> None:
    """What times out within a call is a fault, and nothing that its caller did not read."""
    metrics = Metrics(CollectorRegistry(), version="test")

    assert await statuses(metrics, {"late": time_out}) == [500]
    assert metrics.registry.get_sample_value("prompt_resolver_internal_errors_total") == 1


async def test_fault_before_a_call_has_begun() -> None:
    """A call that fails at its very beginning is told, counted, and runs no more."""
    metrics, running = Metrics(CollectorRegistry(), version="test"), Running()

    answers = await statuses(metrics, {"absent": refuse}, running=running, tracer=FaultyTracer())

    assert answers == [500]
    assert metrics.registry.get_sample_value("prompt_resolver_internal_errors_total") == 1
    await asyncio.wait_for(running.idle(), 5)


async def test_room_of_a_stream_that_fails() -> None:
    """Whoever reads that a stream has failed may call at once, while all else is yet to be read."""
    metrics = Metrics(CollectorRegistry(), version="test")

    async def fail_at_length(call: HttpCall, caller: Caller) -> web.StreamResponse:
        call.enter("stream")
        await call.begin_stream({})
        raise ResolverError(Reason.UPSTREAM_TRUNCATED, "x" * LONGER_THAN_BUFFERS)

    async def enter(call: HttpCall, caller: Caller) -> web.StreamResponse:
        call.enter("stream")
        return web.Response()

    async with serving_door(
        metrics,
        {"stream": fail_at_length, "next": enter},
        gates=make_gates({"stream": 1}, metrics),
    ) as door:
        parts = urlsplit(door.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"data: ")
        answer = await door.get("/next")
        writer.close()

    assert answer.status == 200
