"""Spans of OpenTelemetry, delivered in a thread over OTLP.

This is the only module that knows OpenTelemetry, which is there where the extra `otel` is
installed. Its SDK reads variables of its own from the environment: those of the resource, of the
batches, and of the exporter's headers, timeout and certificates.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace import Tracer as Sdk
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from ..conventions import (
    ERROR_TYPE,
    HTTP_ROUTE,
    HTTP_STATUS,
    OPERATION,
    RPC_METHOD,
    RPC_STATUS,
    RPC_SYSTEM,
)
from ..domain.answers import Cost, Finish, ModelRequest
from ..domain.prompts import PromptRef, ServedTemplate
from .attributes import (
    COST,
    FINISH_REASONS,
    FIRST_CHUNK,
    LABEL,
    RESPONSE_ID,
    Attributes,
    describe_answer,
    describe_asked,
    describe_request,
    describe_served,
)
from .spans import NO_ATTEMPT, AttemptSpan, CallSpan, Metadata

_log = logging.getLogger(__name__)

# As long as a collector nearby takes; one that is down is not waited for.
_LAST_DELIVERY_S = 2.0
_MAX_TEXT = 512
_PROPAGATED = frozenset({"traceparent", "tracestate"})
# The codes of gRPC that are the server's own fault, by the conventions.
_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
_TRACE_CONTEXT = TraceContextTextMapPropagator()


def trace_to(endpoint: str, *, sample_ratio: float, version: str) -> "OtelTracer":
    """Return a tracer that delivers spans to this URL."""
    # It logs the texts of exceptions, which may have anything in them; we tell what matters.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(endpoint=endpoint)
    return OtelTracer(exporter, sample_ratio=sample_ratio, version=version)


class OtelTracer:
    """A `Tracer` that hands every span that ends to an exporter, in a thread of its own.

    What the exporter cannot take in time is dropped. A call that has no parent is traced with the
    probability `sample_ratio`; else it is where its parent is.
    """

    def __init__(self, exporter: SpanExporter, *, sample_ratio: float, version: str) -> None:
        self._exporter = _TellingExporter(exporter)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=describe_service(version),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_MAX_TEXT),
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._sdk = self._provider.get_tracer("prompt_resolver", version)

    def begin_rpc(self, method: str, metadata: Metadata) -> CallSpan:
        """Begin the span of a gRPC call; see `Tracer.begin_rpc`."""
        attributes: Attributes = {RPC_SYSTEM: "grpc", RPC_METHOD: method}
        return self._begin(method, attributes, metadata, RPC_STATUS)

    def begin_http(self, method: str, route: str, metadata: Metadata) -> CallSpan:
        """Begin the span of an HTTP request; see `Tracer.begin_http`."""
        attributes: Attributes = {"http.request.method": method, HTTP_ROUTE: route}
        return self._begin(f"{method} {route}", attributes, metadata, HTTP_STATUS)

    async def aclose(self) -> None:
        """Deliver what there is; see `Tracer.aclose`."""
        loop, delivered = asyncio.get_running_loop(), asyncio.Event()

        def deliver() -> None:
            self._provider.shutdown()
            loop.call_soon_threadsafe(delivered.set)

        # Not one of the loop's own threads, for which the end of the process would wait.
        threading.Thread(target=deliver, daemon=True).start()
        try:
            async with asyncio.timeout(_LAST_DELIVERY_S):
                await delivered.wait()
        except TimeoutError:
            self._exporter.shutdown()
            _log.warning("the last spans could not be delivered")

    def _begin(
        self, name: str, attributes: Attributes, metadata: Metadata, code_name: str
    ) -> CallSpan:
        carrier = {key: value for key, value in metadata if key in _PROPAGATED}
        span = self._sdk.start_span(
            name,
            _TRACE_CONTEXT.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        return OtelCallSpan(span, self._sdk, code_name)


class OtelCallSpan:
    """A `CallSpan`; `code_name` is what its status is called."""

    def __init__(self, span: Span, sdk: Sdk, code_name: str) -> None:
        self._span = span
        self._sdk = sdk
        self._code_name = code_name

    @property
    def trace_id(self) -> str:
        """The id of the trace; see `CallSpan.trace_id`."""
        return format_trace_id(self._span.get_span_context().trace_id)

    def asked(self, prompt: PromptRef, alias: str | None) -> None:
        """Note what is asked for; see `CallSpan.asked`."""
        self._span.set_attributes(describe_asked(prompt, alias))

    def served(self, served: ServedTemplate) -> None:
        """Note which template was served; see `CallSpan.served`."""
        self._span.set_attributes(describe_served(served))

    def labelled(self, labels: Mapping[str, str]) -> None:
        """Note the caller's labels; see `CallSpan.labelled`."""
        self._span.set_attributes({LABEL + name: value for name, value in labels.items()})

    def charged(self, cost: Cost) -> None:
        """Note what the answer cost; see `CallSpan.charged`."""
        self._span.set_attribute(COST, cost.usd)

    def attempt(
        self,
        *,
        provider: str,
        base_url: str,
        request: ModelRequest,
        served: ServedTemplate | None,
        stream: bool,
    ) -> AttemptSpan:
        """Begin the span of a request to a provider; see `CallSpan.attempt`."""
        if not self._span.is_recording():
            return NO_ATTEMPT
        described = describe_request(
            provider=provider, base_url=base_url, request=request, served=served, stream=stream
        )
        span = self._sdk.start_span(
            f"{OPERATION} {request.model}",
            set_span_in_context(self._span, Context()),
            kind=SpanKind.CLIENT,
            attributes=described,
        )
        return OtelAttemptSpan(span)

    def end(self, code: str | int, reason: str = "") -> None:
        """End the span; see `CallSpan.end`."""
        self._span.set_attribute(self._code_name, code)
        if reason:
            self._span.set_attribute(ERROR_TYPE, reason)
        if code in _FAULTS or (isinstance(code, int) and code >= 500):
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class OtelAttemptSpan:
    """An `AttemptSpan`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._begun = False

    def opened(self, answer_id: str, seconds: float) -> None:
        """Note the first event of a stream; see `AttemptSpan.opened`."""
        self._begun = True
        self._span.set_attribute(FIRST_CHUNK, seconds)
        if answer_id:
            self._span.set_attribute(RESPONSE_ID, answer_id)

    def answered(self, answer_id: str, finish: Finish) -> None:
        """Note a whole answer; see `AttemptSpan.answered`."""
        self._span.set_attributes(describe_answer(answer_id, finish))

    def end(self, outcome: str) -> None:
        """End the span; see `AttemptSpan.end`."""
        if outcome != "ok":
            self._span.set_attribute(ERROR_TYPE, outcome)
            if self._begun:
                self._span.set_attribute(FINISH_REASONS, ("error",))
            if outcome != "cancelled":
                self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _TellingExporter(SpanExporter):
    """Tells the log when spans are no longer delivered, and when they are again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._delivers = True

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        delivers = result is SpanExportResult.SUCCESS
        if delivers != self._delivers:
            self._delivers = delivers
            if delivers:
                _log.info("spans are delivered again")
            else:
                _log.warning("spans cannot be delivered, and some are lost")
        return result

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()


def describe_service(version: str) -> Resource:
    """Return what is told of: our name, unless the environment has another one."""
    ours = Resource({"service.name": "prompt-resolver", "service.version": version})
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())
