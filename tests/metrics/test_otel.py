"""What a collector is told of the metrics."""

import asyncio
import logging
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
)

from prompt_resolver import PromptResolverError
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import VARIABLES
from tests.support.collector import running_collector
from tests.support.service import running_process, running_service
from tests.support.upstream import Exchange, Upstream, running_upstream

CONFIG = """
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}}}
model_list: [{{model_name: a, litellm_params: {{model: fake/m}}}}]
"""
CANARY = "canary-7f3a"


@pytest.fixture
def config(prompts: Path, upstream: Upstream) -> str:
    """A configuration that delivers no metrics."""
    return CONFIG.format(prompts=prompts, upstream=upstream)


def delivering(config: str, url: str, interval_s: float = 60) -> str:
    return f"{config}metrics: {{otlp_endpoint: '{url}', interval_s: {interval_s}}}\n"


async def fail(exchange: Exchange) -> None:
    await exchange.send_response(b"", status="503 X")


async def test_what_is_counted(tmp_path: Path, config: str, upstream: Upstream) -> None:
    """A collector is told the numbers that Prometheus reads, in the conventions' words."""
    async with running_collector() as collector:
        written = delivering(config, collector.url)
        async with running_service(tmp_path, written) as service:
            await service.client.complete("greet", alias="a", variables=VARIABLES)
            async for _ in service.client.complete_stream("greet", alias="a", variables=VARIABLES):
                pass
            upstream.answer = fail
            with pytest.raises(PromptResolverError):
                await service.client.complete("greet", alias="a", variables=VARIABLES)
            await service.at_rest()
            page = await service.metrics()

    assert collector.metric_resource["service.name"] == "prompt-resolver"
    assert collector.metric_resource["service.version"] == "test"
    durations = {
        str(point.attributes.get("error.type", "ok")): point
        for point in collector.points("gen_ai.client.operation.duration")
    }
    assert durations.keys() == {"ok", "upstream_unavailable"}
    answered, wire = durations["ok"].attributes, durations["ok"].wire
    assert answered == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "m",
    }
    assert isinstance(wire, HistogramDataPoint)
    assert (wire.count, sum(wire.bucket_counts)) == (2, 2)
    assert len(wire.bucket_counts) == len(wire.explicit_bounds) + 1
    assert 0 < wire.start_time_unix_nano < wire.time_unix_nano
    assert not wire.HasField("min")
    name = "prompt_resolver_upstream_request_duration_seconds_sum"
    assert f'{name}{{model="m",outcome="ok",provider="fake"}} {wire.sum!r}' in page
    (first_chunk,) = collector.points("gen_ai.client.operation.time_to_first_chunk")
    assert first_chunk.attributes == answered
    methods = {
        point.attributes["rpc.method"]: point.wire
        for point in collector.points("rpc.server.call.duration")
    }
    complete = methods["prompt_resolver.v1.PromptResolver/Complete"]
    assert isinstance(complete, HistogramDataPoint)
    assert complete.count == 2


async def test_kinds(tmp_path: Path, config: str) -> None:
    """Counters only rise, memory adds up, and what neither does is told as it is."""
    async with running_collector() as collector:
        written = delivering(config, collector.url)
        async with running_service(tmp_path, written) as service:
            await service.client.complete("greet", alias="a", variables=VARIABLES)

    metrics = collector.metrics
    tokens = metrics["prompt_resolver.tokens"].sum
    assert tokens.is_monotonic
    assert tokens.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    directions = {
        point.attributes["prompt_resolver.direction"]
        for point in collector.points("prompt_resolver.tokens")
    }
    assert directions == {"input", "output"}
    memory = metrics["process.memory.usage"]
    assert (memory.unit, memory.sum.is_monotonic) == ("By", False)
    assert memory.sum.data_points[0].as_double > 1_000_000
    assert metrics["prompt_resolver.template_cache_entries"].gauge.data_points[0].as_double == 1
    lag = metrics["prompt_resolver.event_loop_lag"]
    assert (lag.unit, lag.histogram.aggregation_temporality) == (
        "s",
        AGGREGATION_TEMPORALITY_CUMULATIVE,
    )
    assert not [name for name in metrics if name.startswith(("python", "prompt_resolver.build"))]


async def test_again_and_again(tmp_path: Path, config: str) -> None:
    """The metrics are delivered while the service runs, in the interval that is configured."""
    async with running_collector() as collector:
        written = delivering(config, collector.url, interval_s=0.05)
        async with running_service(tmp_path, written), asyncio.timeout(30):
            for _ in range(3):
                collector.metrics_came.clear()
                await collector.metrics_came.wait()


async def test_at_the_end(tmp_path: Path, config: str) -> None:
    """A process that is told to stop delivers what it has before it ends."""
    async with running_collector() as collector:
        written = delivering(config, collector.url)
        async with running_process(tmp_path, written) as (service, process):
            await service.client.complete("greet", alias="a", variables=VARIABLES)
            code, _ = await asyncio.to_thread(process.stop)

    assert code == 0
    assert len(collector.metric_bodies) == 1
    assert len(collector.points("gen_ai.client.operation.duration")) == 1


@pytest.mark.parametrize(
    ("environ", "delivered"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{collector.url}"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "{collector.url}/my/metrics"}, True),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{collector.url}",
                "OTEL_METRICS_EXPORTER": "none",
            },
            False,
        ),
        ({}, False),
    ],
)
async def test_variables(
    tmp_path: Path, config: str, environ: dict[str, str], delivered: bool
) -> None:
    """The variables that OpenTelemetry's users know say where metrics go, and that none do."""
    async with running_collector() as collector:
        variables = {name: value.format(collector=collector) for name, value in environ.items()}
        async with running_service(tmp_path, config, variables) as service:
            await service.client.resolve("greet", variables=VARIABLES)

    assert len(collector.metric_bodies) == delivered


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "is silent"])
async def test_dead_collector(
    tmp_path: Path, config: str, caplog: pytest.LogCaptureFixture, refuses: bool
) -> None:
    """A collector that is down disturbs no call, nor the end; the log tells, and nobody's text."""
    caplog.set_level(logging.INFO)
    arrived = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        arrived.set()
        if refuses:
            await exchange.send_response(b"", status=f"400 {CANARY}")
        else:
            await exchange.wait_closed()

    async with running_upstream(answer) as dead:
        written = delivering(config, dead.url, interval_s=0.05)
        async with running_service(tmp_path, written) as service:
            async with asyncio.timeout(30):
                await arrived.wait()
            await service.client.complete("greet", alias="a", variables=VARIABLES)

    told = [record.message for record in caplog.records]
    expected = (
        "metrics cannot be delivered" if refuses else "the last metrics could not be delivered"
    )
    assert told.count(expected) == 1
    assert CANARY not in "".join(JsonFormatter().format(record) for record in caplog.records)


async def test_collector_that_comes_back(
    tmp_path: Path, config: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That metrics are delivered again is told, too, and what was counted meanwhile is in them."""
    caplog.set_level(logging.INFO)
    refused = 0
    bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(exchange: Exchange) -> None:
        nonlocal refused
        refused += 1
        if refused <= 2:
            await exchange.send_response(b"", status="400 X")
        else:
            await exchange.send_response(b"", content_type="application/x-protobuf")
            bodies.put_nowait(exchange.body)

    for other in threading.enumerate():
        if other.name == "metrics":
            # Another test's is still at its last delivery, which it tells of.
            await asyncio.to_thread(other.join)
    caplog.clear()
    async with running_upstream(answer) as upstream:
        written = delivering(config, upstream.url, interval_s=0.05)
        async with running_service(tmp_path, written) as service, asyncio.timeout(30):
            await service.client.resolve("greet", variables=VARIABLES)
            await bodies.get()
            await bodies.get()

    told = [each.message for each in caplog.records if "metrics" in each.message]
    assert told == ["metrics cannot be delivered", "metrics are delivered again"]


async def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where OpenTelemetry is missing, a configured collector is a fault, a variable a warning."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    path = tmp_path / "config.yaml"
    path.write_text("metrics: {otlp_endpoint: 'http://127.0.0.1:4318'}")

    with pytest.raises(ConfigError, match=r"metrics\.otlp_endpoint.*\[server,otel\]"):
        await build_report(load_configuration(path, {}), None)  # type: ignore[arg-type]
    variable = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318"}
    async with running_service(tmp_path, "", variable):
        pass
    assert [each.message for each in caplog.records] == ["no metrics are delivered"]
