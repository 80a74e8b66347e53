"""All metrics of one server: those of calls, of providers, and of prompts and their stores."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from .calls import CallMetrics, CallType, GrpcFamilies, HttpFamilies, RouteMetrics
from .certificates import CertificateMetrics
from .families import Families
from .tallies import Tally
from .upstream import UpstreamMetrics

_FETCH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RENDER_BUCKETS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025),
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)


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
        families = Families(registry)
        self.grpc = GrpcFamilies(families)
        self.http = HttpFamilies(families)
        self.upstream = UpstreamMetrics(families)
        self.certificates = CertificateMetrics(families)
        # Both doors' statuses for them are those of some failures of providers and stores, too.
        self._faults = families.counter(
            "prompt_resolver_internal_errors", "Calls that failed by a fault of this service.", ()
        )[()]
        self.templates = families.counter(
            "prompt_resolver_template_cache_requests",
            "Templates served, by how the cache took part.",
            ("store", "result"),
        )
        self._stale = families.counter(
            "prompt_resolver_template_stale_served",
            "Templates served past their time to live, as their store failed.",
            ("store",),
        )
        self._fetches = families.histogram(
            "prompt_resolver_template_fetch_duration_seconds",
            "Time that a store took for a template.",
            ("store", "outcome"),
            _FETCH_BUCKETS,
        )
        self._successes = families.gauge(
            "prompt_resolver_template_last_success_timestamp_seconds",
            "When a store last answered with a template.",
            ("store",),
        )
        self._evictions = families.counter(
            "prompt_resolver_template_cache_evictions",
            "Templates that were held no longer, as there were too many or they took too much.",
            (),
        )[()]
        self._state_entries = families.counter(
            "prompt_resolver_state_entries",
            "Copies of templates on disk that were read, written or removed, by what came of it.",
            ("outcome",),
        )
        self._prefetch_missing = families.gauge(
            "prompt_resolver_prefetch_missing_entries",
            "Prompts to prefetch that have not been there yet.",
            ("required",),
        )
        self._shared = families.counter(
            "prompt_resolver_shared_cache_requests",
            "What the shared cache was asked, by how that went.",
            ("operation", "outcome"),
        )
        self.renderings = families.histogram(
            "prompt_resolver_render_duration_seconds",
            "Time that rendering a template took.",
            (),
            _RENDER_BUCKETS,
        )[()]
        self.loop_lag = families.histogram(
            "prompt_resolver_event_loop_lag_seconds",
            "By how much the event loop was late, looked at ten times a second.",
            (),
            _LAG_BUCKETS,
        )[()]
        self._shed = families.counter(
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
        self._reloaded = Gauge(
            "prompt_resolver_config_last_reload_successful",
            "1 if the configuration is what its file said when last read, 0 if that was refused.",
            registry=registry,
        )
        self._reloaded_at = Gauge(
            "prompt_resolver_config_last_reload_success_timestamp_seconds",
            "When the configuration that serves was read, in Unix time.",
            registry=registry,
        )
        self._reloads = families.counter(
            "prompt_resolver_config_reloads",
            "How often the configuration was read again: adopted (ok), or refused as a whole.",
            ("outcome",),
        )
        self._cache_entries = Gauge(
            "prompt_resolver_template_cache_entries", "Templates that are held.", registry=registry
        )
        self._cache_bytes = Gauge(
            "prompt_resolver_template_cache_bytes",
            "About how much memory the held templates take.",
            registry=registry,
        )

    def for_method(self, service: str, method: str, call_type: CallType) -> CallMetrics:
        """Return the metrics of one gRPC method."""
        return CallMetrics(self.grpc, service, method, call_type, self._faults)

    def unknown_method(self) -> None:
        """Count a call of a gRPC method that there is not, whatever its name."""
        self.grpc.count_unknown()

    def for_route(self, route: str) -> RouteMetrics:
        """Return the metrics of one route of the HTTP door."""
        return RouteMetrics(self.http, route, self._faults)

    def watch_class(self, call_class: str, count: Callable[[], int]) -> Tally:
        """Have the running calls of a class counted by this when the metrics are asked for.

        Returns the tally of the class' refused calls.
        """
        self._calls_running.labels(call_class).set_function(count)
        return self._shed[call_class,]

    def config_read(self) -> None:
        """Note that the configuration that serves is as it has just been read."""
        self._reloaded.set(1)
        self._reloaded_at.set_to_current_time()

    def config_reloaded(self) -> None:
        """Count a configuration that was read again, and serves from now on."""
        self._reloads[("ok",)].value += 1
        self.config_read()

    def config_refused(self) -> None:
        """Count a configuration that was read again, and cannot be served."""
        self._reloads[("refused",)].value += 1
        self._reloaded.set(0)

    def stale_served(self, store: str) -> None:
        """Count a template that was served in place of what its store does not tell."""
        self._stale[(store,)].value += 1

    def template_fetched(self, store: str, outcome: str, seconds: float) -> None:
        """Count a fetch from a store, `ok` or failed."""
        self._fetches[store, outcome].observe(seconds)
        if outcome == "ok":
            self._successes[store,].value = time.time()

    def prefetch_misses(self, *, required: int, optional: int) -> None:
        """Note how many prompts to prefetch have not been there yet."""
        self._prefetch_missing["true",].value = required
        self._prefetch_missing["false",].value = optional

    def shared_cache_asked(self, operation: str, outcome: str) -> None:
        """Count what the shared cache was asked: answered by `ok` or `none`, or failed."""
        self._shared[operation, outcome].value += 1

    def cache_holds(self, entries: int, size: int) -> None:
        """Note how many templates are held, and about how many bytes they take."""
        self._cache_entries.set(entries)
        self._cache_bytes.set(size)

    def templates_evicted(self, count: int) -> None:
        """Count templates that gave way to others."""
        self._evictions.value += count

    def state_handled(self, outcome: str, count: int) -> None:
        """Count copies on disk that were read, written or removed."""
        self._state_entries[outcome,].value += count
