"""A collector of OpenTelemetry's on a free port, which reads what is sent to it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.support.upstream import Exchange, Upstream, running_upstream

SERVER, CLIENT = WireSpan.SPAN_KIND_SERVER, WireSpan.SPAN_KIND_CLIENT
ERROR = 2


@dataclass(frozen=True)
class Span:
    """A span as it came."""

    name: str
    kind: int
    status: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, object]


@dataclass(frozen=True)
class Point:
    """A value of a metric as it came, with its attributes."""

    attributes: dict[str, object]
    wire: NumberDataPoint | HistogramDataPoint


@dataclass
class Collector:
    """What has come so far: the bytes of spans, and what they say, and those of metrics."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    metric_bodies: list[bytes] = field(default_factory=list)
    metrics_came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def metric_requests(self) -> list[ExportMetricsServiceRequest]:
        return [ExportMetricsServiceRequest.FromString(body) for body in self.metric_bodies]

    @property
    def metric_resource(self) -> dict[str, object]:
        """What the metrics that came last are of."""
        return _attributes(self.metric_requests[-1].resource_metrics[0].resource.attributes)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that came last, by name."""
        return {
            metric.name: metric
            for resource in self.metric_requests[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Point]:
        """Return the values of a metric that came last."""
        metric = self.metrics[name]
        data = getattr(metric, metric.WhichOneof("data") or "")
        return [Point(_attributes(each.attributes), each) for each in data.data_points]

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    @property
    def resource(self) -> dict[str, object]:
        """What the spans of the first request are of."""
        return _attributes(self.requests[0].resource_spans[0].resource.attributes)

    @property
    def spans(self) -> list[Span]:
        """The spans in the order in which they ended."""
        return [
            Span(
                name=span.name,
                kind=span.kind,
                status=span.status.code,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                attributes=_attributes(span.attributes),
            )
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def calls(self) -> list[Span]:
        return [span for span in self.spans if span.kind == SERVER]

    def attempts(self, call: Span | None = None) -> list[Span]:
        """Return the requests to providers, of one call or of all."""
        attempts = [span for span in self.spans if span.kind == CLIENT]
        return [each for each in attempts if call is None or each.parent_id == call.span_id]


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """Collect spans and metrics until the context ends."""

    async def answer(exchange: Exchange) -> None:
        if exchange.path.endswith("/metrics"):
            collector.metric_bodies.append(exchange.body)
            collector.metrics_came.set()
        else:
            collector.paths.append(exchange.path)
            collector.bodies.append(exchange.body)
        await exchange.send_response(b"", content_type="application/x-protobuf")

    async with running_upstream(answer) as upstream:
        collector = Collector(_base(upstream))
        yield collector


def _base(upstream: Upstream) -> str:
    return upstream.url.removesuffix("/v1")
