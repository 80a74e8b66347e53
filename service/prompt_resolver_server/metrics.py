"""Every metric there is: its name, its labels and its buckets.

Labels come from closed sets: methods, stores and providers from the contract and the configuration,
outcomes from `Reason`, models from `_ModelLabels`. Nothing that a caller writes becomes a label.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from .prompts import CacheResult

_CALL_BUCKETS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    60,
    600,
)
_FETCH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RENDER_BUCKETS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1)
_UPSTREAM_BUCKETS = (
    *(0.01 * 2**power for power in range(14)),
    *(163.84, 327.68, 600.0),
)
_MAX_MODELS = 100
_OTHER = "other"

CallType = Literal["UNARY", "SERVER_STREAM"]

_Key = TypeVar("_Key")
_Child = TypeVar("_Child")


class CallMetrics:
    """The metrics of one gRPC method, under the names that gRPC dashboards know."""

    def __init__(self, metrics: "Metrics", service: str, method: str, call_type: CallType) -> None:
        labels = (call_type, service, method)
        self.started = metrics.calls_started.labels(*labels)
        self.received = metrics.messages_received.labels(*labels)
        self.sent = metrics.messages_sent.labels(*labels)
        self._seconds = metrics.call_seconds.labels(*labels)
        self._handled: _Children[str, Counter] = _Children(
            lambda code: metrics.calls_handled.labels(*labels, code)
        )

    def handled(self, code: str, seconds: float) -> None:
        """Count a call that ended with this status code, by its name, after this time."""
        self._handled[code].inc()
        self._seconds.observe(seconds)


class Metrics:
    """All metrics of one server, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("prompt_resolver_build", "The running version.", registry=registry).info(
            {"version": version}
        )
        method = ("grpc_type", "grpc_service", "grpc_method")
        self.calls_started = Counter(
            "grpc_server_started", "Calls that began.", method, registry=registry
        )
        self.calls_handled = Counter(
            "grpc_server_handled",
            "Calls that ended, by status code.",
            (*method, "grpc_code"),
            registry=registry,
        )
        self.messages_received = Counter(
            "grpc_server_msg_received", "Messages received.", method, registry=registry
        )
        self.messages_sent = Counter(
            "grpc_server_msg_sent", "Messages sent.", method, registry=registry
        )
        self.call_seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from a call's beginning to its end.",
            method,
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        template_requests = Counter(
            "prompt_resolver_template_cache_requests",
            "Templates served, by how the cache took part.",
            ("store", "result"),
            registry=registry,
        )
        fetch_seconds = Histogram(
            "prompt_resolver_template_fetch_duration_seconds",
            "Time that a store took for a template.",
            ("store", "outcome"),
            buckets=_FETCH_BUCKETS,
            registry=registry,
        )
        self._render_seconds = Histogram(
            "prompt_resolver_render_duration_seconds",
            "Time that rendering a template took.",
            buckets=_RENDER_BUCKETS,
            registry=registry,
        )
        upstream = ("provider", "model", "outcome")
        upstream_seconds = Histogram(
            "prompt_resolver_upstream_request_duration_seconds",
            "Time from sending a request to a provider to the end of its answer.",
            upstream,
            buckets=_UPSTREAM_BUCKETS,
            registry=registry,
        )
        first_chunk_seconds = Histogram(
            "prompt_resolver_upstream_time_to_first_chunk_seconds",
            "Time from sending a request to a provider to the first event of its stream.",
            ("provider", "model"),
            buckets=_UPSTREAM_BUCKETS,
            registry=registry,
        )
        self._cache_entries = Gauge(
            "prompt_resolver_template_cache_entries", "Templates that are held.", registry=registry
        )
        self._cache_bytes = Gauge(
            "prompt_resolver_template_cache_bytes",
            "About how much memory the held templates take.",
            registry=registry,
        )
        inflight = Gauge(
            "prompt_resolver_upstream_inflight",
            "Requests that a provider is answering.",
            ("provider",),
            registry=registry,
        )
        self._shed = Counter(
            "prompt_resolver_calls_shed",
            "Calls that were refused as too many ran.",
            ("call_class",),
            registry=registry,
        )
        self._calls_running = Gauge(
            "prompt_resolver_calls_inflight",
            "Calls that run, as they count for the limits.",
            ("call_class",),
            registry=registry,
        )
        tokens = Counter(
            "prompt_resolver_tokens",
            "Tokens that providers counted.",
            ("provider", "model", "direction"),
            registry=registry,
        )
        self._models = _ModelLabels()
        self._inflight: _Children[str, Gauge] = _Children(inflight.labels)
        self._templates: _Children[tuple[str, ...], Counter] = _Children(
            lambda key: template_requests.labels(*key)
        )
        self._fetches: _Children[tuple[str, ...], Histogram] = _Children(
            lambda key: fetch_seconds.labels(*key)
        )
        self._upstream: _Children[tuple[str, ...], Histogram] = _Children(
            lambda key: upstream_seconds.labels(*key)
        )
        self._first_chunks: _Children[tuple[str, ...], Histogram] = _Children(
            lambda key: first_chunk_seconds.labels(*key)
        )
        self._tokens: _Children[tuple[str, ...], Counter] = _Children(
            lambda key: tokens.labels(*key)
        )

    def for_method(self, service: str, method: str, call_type: CallType) -> CallMetrics:
        """Return the metrics of one gRPC method."""
        return CallMetrics(self, service, method, call_type)

    def shed(self, call_class: str) -> Counter:
        """Return the counter of the refused calls of a class."""
        return self._shed.labels(call_class)

    def watch_running(self, call_class: str, count: Callable[[], int]) -> None:
        """Have the running calls of a class counted by this when the metrics are asked for."""
        self._calls_running.labels(call_class).set_function(count)

    def template_served(self, store: str, result: CacheResult) -> None:
        """Count a template that was served."""
        self._templates[store, result].inc()

    def template_fetched(self, store: str, outcome: str, seconds: float) -> None:
        """Count a fetch from a store, `ok` or failed."""
        self._fetches[store, outcome].observe(seconds)

    def cache_holds(self, entries: int, size: int) -> None:
        """Note how many templates are held, and about how many bytes they take."""
        self._cache_entries.set(entries)
        self._cache_bytes.set(size)

    def rendered(self, seconds: float) -> None:
        """Count a rendered template."""
        self._render_seconds.observe(seconds)

    def upstream_started(self, provider: str) -> None:
        """Count a request that a provider is answering from now on."""
        self._inflight[provider].inc()

    def upstream_first_chunk(self, provider: str, model: str, seconds: float) -> None:
        """Count the first event of a provider's stream."""
        self._first_chunks[provider, self._models.label(provider, model)].observe(seconds)

    def upstream_ended(self, provider: str, model: str, outcome: str, seconds: float) -> None:
        """Count a request that a provider no longer answers: `ok`, `cancelled`, or failed."""
        self._inflight[provider].dec()
        label = self._models.label(provider, model)
        self._upstream[provider, label, outcome].observe(seconds)

    def tokens_used(self, provider: str, model: str, direction: str, count: int | None) -> None:
        """Count tokens, if the provider told how many."""
        if count:
            self._tokens[provider, self._models.label(provider, model), direction].inc(count)

    def know_model(self, provider: str, model: str) -> None:
        """Let a model have a label of its own, as its name does not come from a caller."""
        self._models.know(provider, model)


class _ModelLabels:
    """Which models have a label of their own: those vouched for, up to a hundred."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def know(self, provider: str, model: str) -> None:
        if len(self._known) < _MAX_MODELS:
            self._known.add((provider, model))

    def label(self, provider: str, model: str) -> str:
        return model if (provider, model) in self._known else _OTHER


class _Children(dict[_Key, _Child]):
    """A metric's children, kept: looking one up by its labels costs more than observing it does."""

    def __init__(self, make: Callable[[_Key], _Child]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _Key) -> _Child:
        child = self[key] = self._make(key)
        return child
