"""What panels are made of: their words, and the expressions behind their lines."""

from collections.abc import Iterable
from dataclasses import dataclass

# Whoever scrapes without Kubernetes has neither label, which `.*` matches as well.
_HERE = 'namespace=~"$namespace", pod=~"$pod"'
_QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Query:
    """An expression, and what its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel: what it tells, its unit in Grafana's words, and where the numbers come from."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """A question, and the panels that answer it."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str, where: str = "") -> str:
    """Return how often a counter rose in a second."""
    return f"sum by ({by}) (rate({select(metric, where)}[$__rate_interval]))"


def rose(metric: str, by: str, where: str = "") -> str:
    """Return by how much a counter rose, for what is rare."""
    return f"sum by ({by}) (increase({select(metric, where)}[$__rate_interval]))"


def ratio(metric: str, part: str, by: str) -> str:
    """Return which part of a counter's rate has these labels."""
    return f"{rate(metric, by, part)} / ignoring({by}) group_left sum({rate(metric, by)})"


def now(metric: str, how: str, by: str, where: str = "") -> str:
    """Return a gauge of all instances together: their `sum`, `min` or `max`."""
    return f"{how} by ({by}) ({select(metric, where)})"


def quantiles(
    histogram: str,
    by: str,
    legend: str,
    where: str = "",
    of: Iterable[float] = _QUANTILES,
) -> tuple[Query, ...]:
    """Return the quantiles of a histogram, each with lines of its own."""
    by_bucket = ", ".join(filter(None, (by, "le")))
    return tuple(
        Query(
            f"histogram_quantile({each}, {rate(f'{histogram}_bucket', by_bucket, where)})",
            f"{legend} p{each * 100:g}",
        )
        for each in of
    )


def since(metric: str, by: str) -> str:
    """Return how many seconds ago it was, where it is longest ago."""
    return f"max by ({by}) (time() - {select(metric)})"


def select(metric: str, where: str = "") -> str:
    """Return the series of a metric in the chosen namespaces and pods."""
    return f"{metric}{{{', '.join(filter(None, (_HERE, where)))}}}"
