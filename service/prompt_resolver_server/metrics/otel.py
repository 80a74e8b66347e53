"""What is counted, delivered now and then over OTLP, in a thread.

Nothing is counted twice: what Prometheus would read is read, and put into OpenTelemetry's words.
Its exporter reads variables of its own from the environment: headers, timeout, and certificates.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias, cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from .names import Attributes, Name, find_name, translate

_log = logging.getLogger(__name__)

# As long as a collector nearby takes; one that is down is not waited for.
_LAST_DELIVERY_S = 2.0
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNKNOWN = cast("float", None)

_Key: TypeAlias = tuple[tuple[str, str], ...]


def deliver_to(
    endpoint: str,
    registry: CollectorRegistry,
    *,
    resource: Resource,
    version: str,
    interval_s: float,
) -> "Delivery":
    """Deliver what a registry has to this URL from now on, every so many seconds.

    To be called inside of a running event loop.
    """
    # It logs the texts of exceptions, which may have anything in them; we tell what matters.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    reader = Reader(registry, resource=resource, version=version)
    return Delivery(OTLPMetricExporter(endpoint=endpoint), reader, interval_s=interval_s)


class Reader:
    """Reads a registry in OpenTelemetry's words. What it counts has been counted since `start`."""

    def __init__(self, registry: CollectorRegistry, *, resource: Resource, version: str) -> None:
        self._registry = registry
        self._resource = resource
        self._scope = InstrumentationScope("prompt_resolver", version)
        self._start = time.time_ns()

    def read(self) -> MetricsData:
        """Return everything as it is now."""
        now = time.time_ns()
        metrics = [
            Metric(name.name, family.documentation, name.unit, data)
            for family in self._registry.collect()
            if family.samples and (name := find_name(family.name)) is not None
            if (data := self._write(family, name, now)) is not None
        ]
        scope = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _write(self, family: Family, name: Name, now: int) -> Sum | Gauge | Histogram | None:
        match family.type:
            case "counter":
                counts = (each for each in family.samples if each.name.endswith("_total"))
                return Sum(self._numbers(counts, name, now), _CUMULATIVE, is_monotonic=True)
            case "gauge" if name.adds_up:
                values = self._numbers(family.samples, name, now)
                return Sum(values, _CUMULATIVE, is_monotonic=False)
            case "gauge":
                return Gauge(self._numbers(family.samples, name, now))
            case "histogram":
                return Histogram([*self._histograms(family, name, now)], _CUMULATIVE)
            case _:
                # The version is the resource's.
                return None

    def _numbers(self, samples: Iterable[Sample], name: Name, now: int) -> list[NumberDataPoint]:
        return [
            NumberDataPoint(translate(name, each.labels), self._start, now, each.value)
            for each in samples
        ]

    def _histograms(self, family: Family, name: Name, now: int) -> Iterator[HistogramDataPoint]:
        series: dict[_Key, list[Sample]] = {}
        for each in family.samples:
            key = tuple(pair for pair in each.labels.items() if pair[0] != "le")
            series.setdefault(key, []).append(each)
        for key, samples in series.items():
            yield self._histogram(samples, translate(name, dict(key)), now)

    def _histogram(
        self, samples: Iterable[Sample], attributes: Attributes, now: int
    ) -> HistogramDataPoint:
        bounds, counts, below, total = [], [], 0, 0.0
        for each in samples:
            if each.name.endswith("_sum"):
                total = each.value
            elif each.name.endswith("_bucket"):
                bounds.append(float(each.labels["le"]))
                counts.append(int(each.value) - below)
                below = int(each.value)
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=now,
            count=below,
            sum=total,
            bucket_counts=counts,
            # The last one has no end.
            explicit_bounds=bounds[:-1],
            min=_UNKNOWN,
            max=_UNKNOWN,
        )


class Delivery:
    """Delivers what a reader reads every `interval_s`, and once more when it is closed.

    The log tells when it cannot be delivered, and when it is again: nothing is lost but the times
    in between. Made inside of a running event loop.
    """

    def __init__(self, exporter: MetricExporter, reader: Reader, *, interval_s: float) -> None:
        self._exporter = exporter
        self._reader = reader
        self._interval_s = interval_s
        self._delivers = True
        self._closing = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # Not one of the loop's own threads, for which the end of the process would wait.
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    async def aclose(self) -> None:
        """Deliver what there is, in a moment."""
        self._closing.set()
        try:
            async with asyncio.timeout(_LAST_DELIVERY_S):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("the last metrics could not be delivered")
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._closing.wait(self._interval_s):
            self._deliver()
        self._deliver()
        # The loop may have been closed by now.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended.set)

    def _deliver(self) -> None:
        try:
            delivers = self._exporter.export(self._reader.read()) is MetricExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - a fault of ours, which may be gone the next time
            _log.exception("metrics cannot be told")
            return
        if delivers == self._delivers:
            return
        self._delivers = delivers
        if delivers:
            _log.info("metrics are delivered again")
        else:
            _log.warning("metrics cannot be delivered")
