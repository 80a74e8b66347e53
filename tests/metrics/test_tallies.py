"""Counters and histograms, beside Prometheus' own."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from prompt_resolver_server.metrics.tallies import Distributions, Limit, Tallies, Tally

_BOUNDS = (0.001, 0.5, 2.0)
_LABELS = st.tuples(st.sampled_from(["a", 'b"\\\n']), st.sampled_from(["c", ""]))


def samples(
    registry: CollectorRegistry,
) -> set[tuple[str, str, tuple[tuple[str, str], ...], float]]:
    """Return what a scrape of a registry reads, but for when each series was made."""
    page = generate_latest(registry).decode()
    return {
        (family.type, sample.name, tuple(sorted(sample.labels.items())), round(sample.value, 9))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.tuples(_LABELS, st.floats(0, 1e6))))
def test_tallies(added: list[tuple[tuple[str, str], float]]) -> None:
    """A scrape reads of a counter and a gauge what it reads of Prometheus' own."""
    names = ("x", "y")
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter = Tallies(CounterMetricFamily, "n", "N.", names, ours)
    gauge = Tallies(GaugeMetricFamily, "g", "G.", names, ours)
    its_counter = Counter("n", "N.", names, registry=theirs)
    its_gauge = Gauge("g", "G.", names, registry=theirs)

    for labels, amount in added:
        counter[labels].value += amount
        gauge[labels].value -= amount
        its_counter.labels(*labels).inc(amount)
        its_gauge.labels(*labels).dec(amount)

    assert samples(ours) == samples(theirs)


@given(st.lists(st.tuples(_LABELS, st.floats(0, 5) | st.sampled_from(_BOUNDS))))
def test_distributions(observed: list[tuple[tuple[str, str], float]]) -> None:
    """A scrape reads of a histogram what it reads of Prometheus' own, at the bounds too."""
    names = ("x", "y")
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = Distributions("h", "H.", names, _BOUNDS, ours)
    its_histogram = Histogram("h", "H.", names, buckets=_BOUNDS, registry=theirs)

    for labels, value in observed:
        histogram[labels].observe(value)
        its_histogram.labels(*labels).observe(value)

    assert samples(ours) == samples(theirs)


def test_limit() -> None:
    """A family that is full counts what comes later in one series, and how often it did."""
    registry, overflows = CollectorRegistry(), Tally()
    limit = Limit(2, "other", overflows)
    counter = Tallies(CounterMetricFamily, "n", "N.", ("x", "y"), registry, limit=limit)
    histogram = Distributions("h", "H.", ("x",), _BOUNDS, registry, limit=limit)

    for name in ("a", "b", "c", "d", "a", "c"):
        counter[name, "z"].value += 1
        histogram[name,].observe(1)

    assert [(labels, tally.value) for labels, tally in counter.items()] == [
        (("a", "z"), 2),
        (("b", "z"), 1),
        (("other", "other"), 3),
    ]
    assert [(labels, sum(each.counts)) for labels, each in histogram.items()] == [
        (("a",), 2),
        (("b",), 1),
        (("other",), 3),
    ]
    assert overflows.value == 6
