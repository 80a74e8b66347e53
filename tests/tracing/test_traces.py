"""What a collector is told of calls, of their providers, and what it is not told."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf import struct_pb2

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.assembly.tracing import build_tracer
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.rpc.server import SERVICE
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.tracing import NO_TRACER
from tests.support.calls import VARIABLES
from tests.support.collector import ERROR, Collector, running_collector
from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.raw import call_unary, open_channel
from tests.support.service import RunningService, running_process, running_service
from tests.support.upstream import (
    Answer,
    Exchange,
    Upstream,
    openai_answer,
    openai_events,
    running_upstream,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACE_PARENT = f"00-{TRACE}-{PARENT}-01"

CONFIG = """
stores: {{local: {{type: directory, path: {prompts}}}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}
model_list:
  - {{model_name: a, litellm_params: {{model: fake/m, num_retries: 2, temperature: 0.5}}}}
  - {{model_name: b, litellm_params: {{model: fake/n}}}}
router_settings: {{fallbacks: [{{a: [b]}}]}}
tracing: {{otlp_endpoint: '{collector.url}/'}}
"""


@dataclass(frozen=True)
class Scene:
    """A service that traces, until it is closed; then the collector has its spans."""

    service: RunningService
    upstream: Upstream
    collector: Collector
    _stack: AsyncExitStack

    async def close(self) -> None:
        await self.service.at_rest()
        await self._stack.aclose()

    async def fail(self, **options: object) -> PromptResolverError:
        with pytest.raises(PromptResolverError) as caught:
            await self.service.client.complete("greet", variables=VARIABLES, **options)  # type: ignore[arg-type]
        await self.service.at_rest()
        return caught.value


@asynccontextmanager
async def running_scene(
    folder: Path, prompts: Path, config: str = CONFIG, **environ: str
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(running_collector())
        upstream = await stack.enter_async_context(running_upstream())
        inner = await stack.enter_async_context(AsyncExitStack())
        written = config.format(prompts=prompts, upstream=upstream, collector=collector)
        variables = {name: value.format(collector=collector) for name, value in environ.items()}
        service = await inner.enter_async_context(running_service(folder, written, variables))
        yield Scene(service, upstream, collector, inner)


@pytest.fixture
async def scene(tmp_path: Path, prompts: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path, prompts) as running:
        yield running


def respond(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(body, status=status)

    return answer


async def cut(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.send(b"".join(openai_events("Hel", "lo")[:2]))
    exchange.writer.close()


async def test_whole_answer(scene: Scene) -> None:
    """A call is a span with its prompt, and its request to a provider is one below it."""
    response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
    await scene.close()

    (call,), (attempt,) = scene.collector.calls(), scene.collector.attempts()
    assert scene.collector.paths == ["/v1/traces"]
    assert scene.collector.resource["service.name"] == "prompt-resolver"
    assert call.name == "prompt_resolver.v1.PromptResolver/Complete"
    assert (call.parent_id, call.status) == ("", 0)
    assert call.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "prompt_resolver.v1.PromptResolver/Complete",
        "rpc.response.status_code": "OK",
        "gen_ai.prompt.name": response.prompt.name,
        "gen_ai.prompt.version": response.prompt.version,
        "prompt_resolver.prompt.id": "greet",
        "prompt_resolver.alias": "a",
        "prompt_resolver.store": "local",
        "prompt_resolver.cache": "miss",
        "prompt_resolver.stale": False,
    }
    assert (attempt.name, attempt.parent_id) == ("chat m", call.span_id)
    assert (attempt.trace_id, attempt.status) == (call.trace_id, 0)
    port = int(scene.upstream.url.rpartition(":")[2].removesuffix("/v1"))
    assert attempt.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": False,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.prompt.name": response.prompt.name,
        "gen_ai.prompt.version": response.prompt.version,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "served-model",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": port,
    }


async def test_streamed_answer(scene: Scene) -> None:
    """Of a streamed answer the time to its first chunk is told as well."""
    stream = scene.service.client.complete_stream("greet", alias="a", variables=VARIABLES)
    events = [event async for event in stream]
    await scene.close()

    (attempt,) = scene.collector.attempts()
    first_chunk_s = attempt.attributes["gen_ai.response.time_to_first_chunk"]
    assert isinstance(first_chunk_s, float)
    upstream_s = events[-1].finished.upstream_duration.ToTimedelta().total_seconds()
    assert 0 < first_chunk_s <= upstream_s
    assert attempt.attributes["gen_ai.request.stream"] is True
    assert attempt.attributes["gen_ai.response.id"] == "chatcmpl-1"
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert attempt.attributes["gen_ai.usage.input_tokens"] == 5


async def test_stream_that_is_cut(scene: Scene) -> None:
    """A cut stream has the finish reason `error`, and our reason is the type of the error."""
    scene.upstream.answer = cut
    with pytest.raises(PromptResolverError):
        async for _ in scene.service.client.complete_stream(
            "greet", alias="b", variables=VARIABLES
        ):
            pass
    await scene.close()

    (call,), (attempt,) = scene.collector.calls(), scene.collector.attempts()
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert attempt.attributes["error.type"] == "upstream_truncated"
    assert attempt.status == ERROR
    assert call.attributes["error.type"] == "upstream_truncated"
    assert call.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert call.status == ERROR


async def test_every_attempt(scene: Scene) -> None:
    """Each attempt is a span of its own, failed ones and those of a fallback too."""
    failures = 3

    async def answer(exchange: Exchange) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            await exchange.send_response(b"{}", status="503 X")
        else:
            await exchange.send_response(openai_answer())

    scene.upstream.answer = answer
    await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
    await scene.close()

    (call,) = scene.collector.calls()
    attempts = scene.collector.attempts(call)
    assert [each.name for each in attempts] == ["chat m", "chat m", "chat m", "chat n"]
    assert [each.attributes.get("error.type") for each in attempts] == [
        *3 * ["upstream_unavailable"],
        None,
    ]
    assert "error.type" not in call.attributes


async def test_leaver(scene: Scene) -> None:
    """A call whose caller left is no error, and says why it ended."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.wait_closed()
        left.set()

    scene.upstream.answer = answer
    asking = asyncio.ensure_future(
        scene.service.client.complete("greet", alias="a", variables=VARIABLES)
    )
    await scene.upstream.arrived.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await left.wait()
    await scene.close()

    (call,), (attempt,) = scene.collector.calls(), scene.collector.attempts()
    assert (attempt.attributes["error.type"], attempt.status) == ("cancelled", 0)
    assert (call.attributes["error.type"], call.status) == ("cancelled", 0)
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"


async def test_parent(scene: Scene) -> None:
    """A call that is part of a trace goes on with it, whatever the door; providers hear nothing."""
    call = scene.service.client.complete(
        "greet",
        alias="a",
        variables=VARIABLES,
        credentials={"traceparent": TRACE_PARENT, "tracestate": "x=1"},
    )
    await call
    door = HttpDoor(scene.service.http_url, {"traceparent": TRACE_PARENT})
    answered = await door.chat(model="a", prompt_id="greet", prompt_variables=VARIABLES)
    await scene.close()

    assert answered.status == 200
    calls = scene.collector.calls()
    assert [(each.trace_id, each.parent_id) for each in calls] == 2 * [(TRACE, PARENT)]
    assert {each.trace_id for each in scene.collector.attempts()} == {TRACE}
    assert calls[1].name == "POST /v1/chat/completions"
    assert calls[1].attributes["http.response.status_code"] == 200
    assert calls[1].attributes["prompt_resolver.prompt.id"] == "greet"
    sent = [name for each in scene.upstream.exchanges for name in each.headers]
    assert not {"traceparent", "tracestate", "baggage"} & {*sent}


async def test_parent_that_is_not_traced(scene: Scene) -> None:
    """A call whose parent is not traced is not traced either."""
    await scene.service.client.complete(
        "greet",
        alias="a",
        variables=VARIABLES,
        credentials={"traceparent": f"00-{TRACE}-{PARENT}-00"},
    )
    await scene.close()

    assert scene.collector.bodies == []


async def test_log(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a failed call has the trace's id, whether or not it began with the call."""
    caplog.set_level(logging.INFO)
    await scene.fail(alias="nobody")
    await scene.fail(alias="nobody", credentials={"traceparent": TRACE_PARENT})
    await HttpDoor(scene.service.http_url).chat(model="nobody")
    await scene.close()

    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    logged = [line["trace_id"] for line in lines if line["message"] == "a call failed"]
    calls = scene.collector.calls()
    assert logged == [call.trace_id for call in calls]
    assert logged[1] == TRACE
    assert calls[0].attributes["error.type"] == "alias_unknown"
    assert calls[0].attributes["prompt_resolver.alias"] == "nobody"
    assert [call.status for call in calls] == [0, 0, 0]


async def test_stale_prompt(tmp_path: Path, prompts: Path) -> None:
    """A trace tells that a prompt was not fresh, and of calls without a model which one it was."""
    async with running_scene(tmp_path, prompts) as scene:
        await scene.service.client.resolve("greet", variables=VARIABLES)
        await scene.service.client.resolve("greet", variables=VARIABLES, refresh=True)
        await scene.close()

    calls = scene.collector.calls()
    assert [each.attributes["prompt_resolver.cache"] for each in calls] == ["miss", "bypass"]
    assert scene.collector.attempts() == []


CANARY = "canary"


async def test_nothing_is_told(tmp_path: Path, prompts: Path) -> None:
    """No prompt, value, answer, argument, key nor error text is in a span, however it ends."""
    write_prompt(prompts, "secret", f"<user>\n{CANARY} {{{{v}}}}\n</user>")
    tool = {"name": "look", "arguments": f'{{"a": "{CANARY}"}}'}
    message = {
        "role": "assistant",
        "content": CANARY,
        "tool_calls": [{"id": "c", "type": "function", "function": tool}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    answers = [
        respond(openai_answer(choices=[choice])),
        respond(json.dumps({"error": {"message": CANARY, "code": CANARY}}).encode(), "400 X"),
        respond(json.dumps({"error": {"message": CANARY}}).encode(), f"500 {CANARY}"),
        respond(CANARY.encode()),
        cut_after(CANARY),
    ]
    schema = struct_pb2.Struct()
    schema.update({"description": CANARY})
    extra = struct_pb2.Struct()
    extra.update({"user": CANARY})
    async with running_scene(tmp_path, prompts) as scene:
        for answer in answers:
            scene.upstream.answer = answer
            for ask in (scene.service.client.complete, stream_whole(scene)):
                with contextlib.suppress(PromptResolverError):
                    await ask(
                        "secret",
                        alias="b",
                        variables={"v": CANARY},
                        messages=[
                            pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text=CANARY)])
                        ],
                        tools=[pb.Tool(name="look", description=CANARY, parameters=schema)],
                        parameters=pb.ModelParameters(stop=[CANARY], extra=extra),
                        credentials={
                            "x-provider-key-fake": CANARY,
                            "x-prompt-store-key": CANARY,
                            "authorization": f"Bearer {CANARY}",
                        },
                        include_resolved=True,
                    )
        await scene.fail(alias="b", version=CANARY)
        await scene.close()

    assert len(scene.collector.attempts()) == 2 * len(answers)
    assert CANARY.encode() not in b"".join(scene.collector.bodies)


def cut_after(text: str) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events(text)[:2]))
        exchange.writer.close()

    return answer


def stream_whole(scene: Scene):  # type: ignore[no-untyped-def]  # as `complete` is
    async def ask(*names: str, **options: object) -> None:
        async for _ in scene.service.client.complete_stream(*names, **options):  # type: ignore[arg-type]
            pass

    return ask


async def test_labels(scene: Scene) -> None:
    """The labels that a caller gives a call are in its span."""
    request = pb.CompleteRequest(prompt=pb.PromptRef(id="greet"), alias="a")
    request.variables.update(VARIABLES)
    request.metadata["team"] = "blue"
    async with open_channel(scene.service.address) as channel:
        await call_unary(channel, SERVICE, "Complete", request.SerializeToString())
    answered = await HttpDoor(scene.service.http_url).chat(
        model="a", prompt_id="greet", prompt_variables=VARIABLES, metadata={"team": "blue"}
    )
    await scene.close()

    assert answered.status == 200
    told = [call.attributes["prompt_resolver.label.team"] for call in scene.collector.calls()]
    assert told == ["blue", "blue"]


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{collector.url}"}, "/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{collector.url}/mine"}, "/mine"),
    ],
)
async def test_variables(
    tmp_path: Path, prompts: Path, environ: Mapping[str, str], path: str
) -> None:
    """Where no collector is configured, OpenTelemetry's own variables say where it is."""
    config = CONFIG.partition("tracing:")[0]
    async with running_scene(tmp_path, prompts, config, **environ) as scene:
        await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        await scene.close()

    assert scene.collector.paths == [path]
    assert len(scene.collector.spans) == 2


async def test_no_collector(tmp_path: Path) -> None:
    """Without a collector nothing is traced, and OpenTelemetry is not even there."""
    assert build_tracer(load_configuration(None, {}), "test") is NO_TRACER
    program = "import sys, prompt_resolver_server.app; print('opentelemetry' in sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )

    out, _ = await process.communicate()

    assert out == b"False\n"


async def test_sample_ratio(tmp_path: Path, prompts: Path) -> None:
    """Of calls without a parent only the configured part is traced."""
    config = CONFIG.replace("}/'}}", "}', sample_ratio: 0}}")
    assert config != CONFIG
    async with running_scene(tmp_path, prompts, config) as scene:
        await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        await scene.service.client.complete(
            "greet", alias="a", variables=VARIABLES, credentials={"traceparent": TRACE_PARENT}
        )
        await scene.close()

    assert [call.trace_id for call in scene.collector.calls()] == [TRACE]


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "is silent"])
async def test_dead_collector(
    tmp_path: Path, prompts: Path, caplog: pytest.LogCaptureFixture, refuses: bool
) -> None:
    """A collector that is down disturbs no call, nor the end; the log tells, and nobody's text."""
    caplog.set_level(logging.INFO)
    arrived = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        arrived.set()
        if refuses:
            await exchange.send_response(b"", status=f"500 {CANARY}")
        else:
            await exchange.wait_closed()

    config = CONFIG.replace("{collector.url}/", "{dead}")
    async with running_upstream(answer) as dead:
        config = config.replace("{dead}", dead.url)
        async with running_scene(tmp_path, prompts, config) as scene:
            response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
            await scene.close()

    assert response.message.content[0].text == "Hello"
    assert arrived.is_set()
    told = [record.message for record in caplog.records]
    expected = "spans cannot be delivered, and some are lost"
    assert (expected if refuses else "the last spans could not be delivered") in told
    assert CANARY not in "".join(JsonFormatter().format(record) for record in caplog.records)


async def test_flush(tmp_path: Path, prompts: Path) -> None:
    """A process that is told to stop delivers what it has before it ends."""
    async with running_collector() as collector, running_upstream() as upstream:
        config = CONFIG.format(prompts=prompts, upstream=upstream, collector=collector)
        async with running_process(tmp_path, config) as (service, process):
            await service.client.complete("greet", alias="a", variables=VARIABLES)
            code, _ = await asyncio.to_thread(process.stop)

    assert code == 0
    assert len(collector.spans) == 2


async def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where OpenTelemetry is missing, a configured collector is a fault, a variable a warning."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    path = tmp_path / "config.yaml"
    path.write_text("tracing: {otlp_endpoint: 'http://127.0.0.1:4318'}")
    configured = load_configuration(path, {})
    told = load_configuration(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})

    with pytest.raises(ConfigError, match=r"install prompt-resolver\[server,otel\]"):
        build_tracer(configured, "test")
    with pytest.raises(ConfigError, match=r"tracing\.otlp_endpoint"):
        await build_report(configured, None)  # type: ignore[arg-type]  # it does not come to that
    assert build_tracer(told, "test") is NO_TRACER
    assert [record.message for record in caplog.records] == ["there are no traces"]
