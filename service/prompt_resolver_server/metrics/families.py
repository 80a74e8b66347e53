"""Makes families of metrics, each with a limit to how many series it has."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from .tallies import Distributions, Limit, Tallies

OTHER = "other"
"""What a label says in place of a value that has no series of its own."""

# Ten thousand label sets of one histogram take 44 MiB, and three seconds to be scraped.
_MAX_SERIES = 1_000


class Families:
    """Makes the families of one registry, and counts what did not fit into them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._overflows = Tallies(
            CounterMetricFamily,
            "prompt_resolver_series_overflows",
            "What was counted under other labels, as its family has too many series.",
            ("family",),
            registry,
        )

    def counter(self, name: str, documentation: str, labels: tuple[str, ...]) -> Tallies:
        """Return a family of counters, whose name goes without its `_total`."""
        return self._tallies(CounterMetricFamily, name, documentation, labels)

    def gauge(self, name: str, documentation: str, labels: tuple[str, ...]) -> Tallies:
        """Return a family of gauges."""
        return self._tallies(GaugeMetricFamily, name, documentation, labels)

    def histogram(
        self, name: str, documentation: str, labels: tuple[str, ...], bounds: Sequence[float]
    ) -> Distributions:
        """Return a family of histograms, whose buckets end at these bounds."""
        limit = self._limit(name)
        return Distributions(name, documentation, labels, bounds, self._registry, limit=limit)

    def _tallies(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        documentation: str,
        labels: tuple[str, ...],
    ) -> Tallies:
        limit = self._limit(name)
        return Tallies(kind, name, documentation, labels, self._registry, limit=limit)

    def _limit(self, name: str) -> Limit:
        return Limit(_MAX_SERIES, OTHER, self._overflows[name,])
