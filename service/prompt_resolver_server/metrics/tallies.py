"""Counters and histograms that cost next to nothing while they count.

Prometheus' own take a lock and look their labels up each time, which is more than a cached prompt
takes. These are plain numbers that one event loop alone changes; whoever asks for the metrics gets
them in Prometheus' form, from whichever thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

Labels = tuple[str, ...]
_T = TypeVar("_T")


class Tally:
    """One number, to be added to."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Distribution:
    """How often values fell into each bucket; a bucket ends at its bound, the last one never."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Limit(NamedTuple):
    """How many series a family has: what comes later is one series, and counted.

    All labels of that one have the value `others`.
    """

    series: int
    others: str
    overflows: Tally


class _Series(dict[Labels, _T], Generic[_T]):
    """The series of one family by their labels' values, each made when first asked for.

    A dict, so that what is counted with each call is found without a step of Python.
    """

    def __init__(self, make: Callable[[], _T], limit: Limit | None) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, labels: Labels) -> _T:
        if self._limit is not None and len(self) >= self._limit.series:
            self._limit.overflows.value += 1
            labels = (self._limit.others,) * len(labels)
        return self.setdefault(labels, self._make())


class Tallies(_Series[Tally]):
    """The tallies of one counter or gauge by their labels' values, each made when first asked for.

    `name` goes without the `_total` that Prometheus adds to a counter's.
    """

    def __init__(
        self,
        family: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        documentation: str,
        labels: Labels,
        registry: CollectorRegistry,
        *,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(Tally, limit)
        registry.register(
            _TallyCollector(partial(family, name, documentation, labels=labels), self)
        )


class Distributions(_Series[Distribution]):
    """The distributions of one histogram by their labels' values, made when first asked for."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Labels,
        bounds: Sequence[float],
        registry: CollectorRegistry,
        *,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(partial(Distribution, bounds), limit)
        self.bounds = bounds
        make = partial(HistogramMetricFamily, name, documentation, labels=labels)
        registry.register(_DistributionCollector(make, self))


class _TallyCollector(Collector):
    """Tells Prometheus of tallies."""

    def __init__(
        self, make: Callable[[], CounterMetricFamily | GaugeMetricFamily], tallies: Tallies
    ) -> None:
        self._make = make
        self._tallies = tallies

    def describe(self) -> list[Metric]:
        """Return the family without its numbers."""
        return [self._make()]

    @override
    def collect(self) -> Iterator[Metric]:
        family = self._make()
        for labels, tally in list(self._tallies.items()):
            family.add_metric(labels, tally.value)
        yield family


class _DistributionCollector(Collector):
    """Tells Prometheus of distributions."""

    def __init__(
        self, make: Callable[[], HistogramMetricFamily], distributions: Distributions
    ) -> None:
        self._make = make
        self._distributions = distributions
        self._names = [*map(floatToGoString, distributions.bounds), "+Inf"]

    def describe(self) -> list[Metric]:
        """Return the family without its numbers."""
        return [self._make()]

    @override
    def collect(self) -> Iterator[Metric]:
        family = self._make()
        for labels, distribution in list(self._distributions.items()):
            # Both as they are now: others go on counting.
            total, below, buckets = distribution.total, 0, []
            for bucket, count in zip(self._names, tuple(distribution.counts), strict=True):
                below += count
                buckets.append((bucket, below))
            family.add_metric(labels, buckets, total)
        yield family
