"""Every metric there is: its name, its labels and its buckets.

Labels come from closed sets: methods, stores and providers from the contract and the configuration,
outcomes from `Reason`, models from `_ModelLabels`. Nothing that a caller writes becomes a label.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from .prompts import CacheResult
from .tallies import Distributions, Tallies, Tally

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


class CallMetrics:
    """The metrics of one gRPC method, under the names that gRPC dashboards know."""

    def __init__(self, metrics: "Metrics", service: str, method: str, call_type: CallType) -> None:
        labels = (call_type, service, method)
        self._started = metrics.calls_started[labels]
        self._received = metrics.messages_received[labels]
        self._sent = metrics.messages_sent[labels]
        self._seconds = metrics.call_seconds[labels]
        self._labels = labels
        self._handled = metrics.calls_handled

    def begin(self) -> None:
        """Count a call that begins, and the message that it brought."""
        self._started.value += 1
        self._received.value += 1

    def sent(self) -> None:
        """Count a message that was sent."""
        self._sent.value += 1

    def end(self, code: str, seconds: float) -> None:
        """Count a call that ended with this status code, by its name, after this time."""
        self._handled[*self._labels, code].value += 1
        self._seconds.observe(seconds)


class RouteMetrics:
    """The metrics of one route of the HTTP door."""

    def __init__(self, metrics: "Metrics", route: str) -> None:
        self._requests = metrics.http_requests
        self._seconds = metrics.http_seconds[route,]
        self._route = route

    def end(self, status: int, seconds: float) -> None:
        """Count a request that ended with this status, 499 if its caller left, after this time."""
        self._requests[self._route, str(status)].value += 1
        self._seconds.observe(seconds)


class Metrics:
    """All metrics of one server, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self.registry = registry
        self.version = version
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("prompt_resolver_build", "The running version.", registry=registry).info(
            {"version": version}
        )
        counter, histogram = partial(_counter, registry), partial(_histogram, registry)
        method = ("grpc_type", "grpc_service", "grpc_method")
        self.calls_started = counter("grpc_server_started", "Calls that began.", method)
        self.calls_handled = counter(
            "grpc_server_handled", "Calls that ended, by status code.", (*method, "grpc_code")
        )
        self.messages_received = counter("grpc_server_msg_received", "Messages received.", method)
        self.messages_sent = counter("grpc_server_msg_sent", "Messages sent.", method)
        self.call_seconds = histogram(
            "grpc_server_handling_seconds",
            "Time from a call's beginning to its end.",
            method,
            _CALL_BUCKETS,
        )
        self.http_requests = counter(
            "prompt_resolver_http_requests", "Requests that ended, by status.", ("route", "status")
        )
        self.http_seconds = histogram(
            "prompt_resolver_http_request_duration_seconds",
            "Time from a request's beginning to the end of its answer.",
            ("route",),
            _CALL_BUCKETS,
        )
        self.templates = counter(
            "prompt_resolver_template_cache_requests",
            "Templates served, by how the cache took part.",
            ("store", "result"),
        )
        self._stale = counter(
            "prompt_resolver_template_stale_served",
            "Templates served past their time to live, as their store failed.",
            ("store",),
        )
        self._fetches = histogram(
            "prompt_resolver_template_fetch_duration_seconds",
            "Time that a store took for a template.",
            ("store", "outcome"),
            _FETCH_BUCKETS,
        )
        self._state_entries = counter(
            "prompt_resolver_state_entries",
            "Copies of templates on disk that were read, written or removed, by what came of it.",
            ("outcome",),
        )
        self._shared = counter(
            "prompt_resolver_shared_cache_requests",
            "What the shared cache was asked, by how that went.",
            ("operation", "outcome"),
        )
        self._renderings = histogram(
            "prompt_resolver_render_duration_seconds",
            "Time that rendering a template took.",
            (),
            _RENDER_BUCKETS,
        )[()]
        self.upstream_seconds = histogram(
            "prompt_resolver_upstream_request_duration_seconds",
            "Time from sending a request to a provider to the end of its answer.",
            ("provider", "model", "outcome"),
            _UPSTREAM_BUCKETS,
        )
        self._first_chunks = histogram(
            "prompt_resolver_upstream_time_to_first_chunk_seconds",
            "Time from sending a request to a provider to the first event of its stream.",
            ("provider", "model"),
            _UPSTREAM_BUCKETS,
        )
        self._retries = counter(
            "prompt_resolver_upstream_retries",
            "Failed requests to a provider that were tried again, by why they failed.",
            ("provider", "model", "reason"),
        )
        self._fallbacks = counter(
            "prompt_resolver_upstream_fallbacks",
            "Calls that went on from one alias to another, by why.",
            ("from", "to", "reason"),
        )
        self.upstream_inflight = Tallies(
            GaugeMetricFamily,
            "prompt_resolver_upstream_inflight",
            "Requests that a provider is answering.",
            ("provider",),
            registry,
        )
        self.tokens = counter(
            "prompt_resolver_tokens",
            "Tokens that providers counted.",
            ("provider", "model", "direction"),
        )
        self._shed = counter(
            "prompt_resolver_calls_shed",
            "Calls that were refused as too many ran.",
            ("call_class",),
        )
        self._calls_running = Gauge(
            "prompt_resolver_calls_inflight",
            "Calls that run, as they count for the limits.",
            ("call_class",),
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
        self._models = _ModelLabels()

    def for_method(self, service: str, method: str, call_type: CallType) -> CallMetrics:
        """Return the metrics of one gRPC method."""
        return CallMetrics(self, service, method, call_type)

    def for_route(self, route: str) -> RouteMetrics:
        """Return the metrics of one route of the HTTP door."""
        return RouteMetrics(self, route)

    def watch_class(self, call_class: str, count: Callable[[], int]) -> Tally:
        """Have the running calls of a class counted by this when the metrics are asked for.

        Returns the tally of the class' refused calls.
        """
        self._calls_running.labels(call_class).set_function(count)
        return self._shed[call_class,]

    def template_served(self, store: str, result: CacheResult) -> None:
        """Count a template that was served."""
        self.templates[store, result].value += 1

    def stale_served(self, store: str) -> None:
        """Count a template that was served in place of what its store does not tell."""
        self._stale[(store,)].value += 1

    def template_fetched(self, store: str, outcome: str, seconds: float) -> None:
        """Count a fetch from a store, `ok` or failed."""
        self._fetches[store, outcome].observe(seconds)

    def shared_cache_asked(self, operation: str, outcome: str) -> None:
        """Count what the shared cache was asked: answered by `ok` or `none`, or failed."""
        self._shared[operation, outcome].value += 1

    def cache_holds(self, entries: int, size: int) -> None:
        """Note how many templates are held, and about how many bytes they take."""
        self._cache_entries.set(entries)
        self._cache_bytes.set(size)

    def state_handled(self, outcome: str, count: int) -> None:
        """Count copies on disk that were read, written or removed."""
        self._state_entries[outcome,].value += count

    def rendered(self, seconds: float) -> None:
        """Count a rendered template."""
        self._renderings.observe(seconds)

    def upstream_started(self, provider: str) -> None:
        """Count a request that a provider is answering from now on."""
        self.upstream_inflight[provider,].value += 1

    def upstream_first_chunk(self, provider: str, model: str, seconds: float) -> None:
        """Count the first event of a provider's stream."""
        self._first_chunks[provider, self._models.label(provider, model)].observe(seconds)

    def upstream_ended(self, provider: str, model: str, outcome: str, seconds: float) -> None:
        """Count a request that a provider no longer answers: `ok`, `cancelled`, or failed."""
        self.upstream_inflight[provider,].value -= 1
        label = self._models.label(provider, model)
        self.upstream_seconds[provider, label, outcome].observe(seconds)

    def retried(self, provider: str, model: str, reason: str) -> None:
        """Count a failed request that is tried again."""
        label = self._models.label(provider, model)
        self._retries[provider, label, reason].value += 1

    def fell_back(self, alias: str, to: str, reason: str) -> None:
        """Count a call that goes on from one alias to another."""
        self._fallbacks[alias, to, reason].value += 1

    def tokens_used(self, provider: str, model: str, direction: str, count: int | None) -> None:
        """Count tokens, if the provider told how many."""
        if count:
            label = self._models.label(provider, model)
            self.tokens[provider, label, direction].value += count

    def know_model(self, provider: str, model: str) -> None:
        """Let a model have a label of its own, as its name does not come from a caller."""
        self._models.know(provider, model)


def _counter(
    registry: CollectorRegistry, name: str, documentation: str, labels: tuple[str, ...]
) -> Tallies:
    return Tallies(CounterMetricFamily, name, documentation, labels, registry)


def _histogram(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    labels: tuple[str, ...],
    bounds: Sequence[float],
) -> Distributions:
    return Distributions(name, documentation, labels, bounds, registry)


class _ModelLabels:
    """Which models have a label of their own: those vouched for, up to a hundred."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def know(self, provider: str, model: str) -> None:
        if len(self._known) < _MAX_MODELS:
            self._known.add((provider, model))

    def label(self, provider: str, model: str) -> str:
        return model if (provider, model) in self._known else _OTHER
