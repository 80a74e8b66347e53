"""The tracer that stands on OpenTelemetry's SDK, and the one that traces nothing."""

import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from typing_extensions import override

from prompt_resolver_server.domain.answers import Cost, Finish, ModelRequest, Usage
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import ServedTemplate
from prompt_resolver_server.tracing import NO_ATTEMPT, NO_SPAN, NO_TRACER, CallSpan
from prompt_resolver_server.tracing.otel import OtelTracer
from tests.support.stores import make_template

REQUEST = ModelRequest(model="m", messages=(), parameters=NO_PARAMETERS)
FINISH = Finish(reason="stop", raw_reason="stop", model="m-1", usage=Usage(input_tokens=1))


class MemoryExporter(InMemorySpanExporter):
    """Keeps what it got after it has been closed, too."""

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.get_finished_spans() if span.name == name]
        return span


@pytest.fixture
def exporter() -> MemoryExporter:
    return MemoryExporter()


@pytest.fixture
def tracer(exporter: MemoryExporter) -> OtelTracer:
    return OtelTracer(exporter, sample_ratio=1, version="test")


def served(prompt_id: str) -> ServedTemplate:
    return ServedTemplate(
        template=make_template(prompt_id, "v1"), store="told", cache="stale", reason="deployed"
    )


def ask(span: CallSpan, *outcomes: str, stream: bool = False) -> None:
    for outcome in outcomes:
        attempt = span.attempt(
            provider="p", base_url="", request=REQUEST, served=None, stream=stream
        )
        if stream:
            attempt.opened("id", 0.5)
        if outcome == "ok":
            attempt.answered("id", FINISH)
        attempt.end(outcome)


async def test_tree(tracer: OtelTracer, exporter: MemoryExporter) -> None:
    """The spans of two calls at once are kept apart, and each attempt is below its own call."""
    first = tracer.begin_rpc("s/First", ())
    second = tracer.begin_http("POST", "/second", ())
    ask(second, "ok")
    ask(first, "upstream_timeout", "ok")
    second.end(200)
    first.end("OK")
    await tracer.aclose()

    spans = exporter.get_finished_spans()
    parents = [span.parent.span_id if span.parent else None for span in spans]
    ids = {span.name: span.context.span_id for span in spans if span.context is not None}
    assert parents == [ids["POST /second"], ids["s/First"], ids["s/First"], None, None]
    assert first.trace_id != second.trace_id


async def test_prompt_that_served(tracer: OtelTracer, exporter: MemoryExporter) -> None:
    """A call tells the prompt that served in the end, and what the answer cost."""
    span = tracer.begin_rpc("s/M", ())
    span.served(served("first"))
    span.served(served("fallback"))
    span.charged(Cost(usd=0.5, source="a list"))
    span.end("OK")
    await tracer.aclose()

    attributes = exporter.named("s/M").attributes
    assert attributes is not None
    assert attributes["prompt_resolver.prompt.id"] == "fallback"
    assert attributes["prompt_resolver.cache"] == "stale"
    assert attributes["prompt_resolver.cost_usd"] == 0.5


@pytest.mark.parametrize(
    ("code", "is_fault"),
    [
        ("OK", False),
        ("INVALID_ARGUMENT", False),
        ("RESOURCE_EXHAUSTED", False),
        ("INTERNAL", True),
        ("UNAVAILABLE", True),
        (200, False),
        (404, False),
        (499, False),
        (503, True),
    ],
)
async def test_status(
    tracer: OtelTracer, exporter: MemoryExporter, code: str | int, is_fault: bool
) -> None:
    """A call is an error where the fault is not its caller's, and the status has no text."""
    tracer.begin_rpc("s/M", ()).end(code, "a_reason")
    await tracer.aclose()

    span = exporter.named("s/M")
    assert span.status.status_code is (StatusCode.ERROR if is_fault else StatusCode.UNSET)
    assert span.status.description is None
    assert (span.attributes or {})["error.type"] == "a_reason"


@pytest.mark.parametrize(
    ("outcome", "stream", "reasons"),
    [
        ("upstream_truncated", True, ("error",)),
        ("upstream_unavailable", False, None),
        ("ok", True, ("stop",)),
    ],
)
async def test_finish_reasons(
    tracer: OtelTracer,
    exporter: MemoryExporter,
    outcome: str,
    stream: bool,
    reasons: Sequence[str] | None,
) -> None:
    """What has begun and does not end as it should has the finish reason `error`."""
    span = tracer.begin_rpc("s/M", ())
    ask(span, outcome, stream=stream)
    span.end("OK")
    await tracer.aclose()

    attributes = exporter.named("chat m").attributes or {}
    assert attributes.get("gen_ai.response.finish_reasons") == reasons


@pytest.mark.parametrize("parent", ["", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01"])
async def test_parent_that_is_none(tracer: OtelTracer, parent: str) -> None:
    """A call whose parent makes no sense begins a trace of its own."""
    span = tracer.begin_rpc("s/M", (("traceparent", parent), ("traceparent-bin", b"\xff")))

    assert int(span.trace_id, 16) > 0
    span.end("OK")
    await tracer.aclose()


async def test_queue_is_bounded() -> None:
    """An exporter that does not go on holds up nobody, and what waits for it is limited."""
    exporter = StuckExporter()
    tracer = OtelTracer(exporter, sample_ratio=1, version="test")

    for _ in range(20_000):
        tracer.begin_rpc("s/M", ()).end("OK")
    await tracer.aclose()

    assert exporter.exported < 5_000


class StuckExporter(SpanExporter):
    """An exporter that takes no more once it has got something, until it is closed."""

    def __init__(self) -> None:
        self.exported = 0
        self._closed = threading.Event()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.exported += len(spans)
        self._closed.wait(10)
        return SpanExportResult.FAILURE

    @override
    def shutdown(self) -> None:
        self._closed.set()


async def test_nothing() -> None:
    """Who traces nothing has one span for all, which takes everything and keeps nothing."""
    span = NO_TRACER.begin_rpc("s/M", ())
    assert NO_TRACER.begin_http("GET", "/", ()) is span is NO_SPAN
    span.served(served("p"))
    span.labelled({"a": "b"})
    span.charged(Cost(usd=1, source="a list"))
    attempt = span.attempt(provider="p", base_url="", request=REQUEST, served=None, stream=False)
    attempt.opened("id", 1)
    attempt.answered("id", FINISH)
    attempt.end("ok")
    span.end("OK")
    await NO_TRACER.aclose()

    assert attempt is NO_ATTEMPT
    assert span.trace_id == ""
    assert not hasattr(span, "__dict__") or vars(span) == {}
