"""What expressions of Prometheus name, held against what the service counts.

Whether an expression is one at all is what promtool says; this is whether there is what it names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import grpc
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.prompts import CacheResult
from prompt_resolver_server.entry.admission import CallClass
from prompt_resolver_server.metrics import Metrics

Labels = frozenset[str]

# Those of the scrape, which the service knows nothing of.
SCRAPE = frozenset({"namespace", "pod", "job", "instance"})

# Rules and panels for what other modules have yet to register. EMPTY THIS once they do.
PENDING: Mapping[str, Labels] = {}

# All that labels may say that expressions ask for.
VALUES = frozenset(
    {
        *get_args(CacheResult),
        *get_args(CallClass),
        *(reason.lower() for reason in Reason),
        *(code.name for code in grpc.StatusCode),
        *("ok", "failed", "cancelled", "caller", "passed_over", "store_auth_caller_key"),
        *("shutdown", "skipped", "timeout", "unreachable", "refused", "garbage"),
        *("Resolve", "Complete", "CompleteStream", "WatchPrompts"),
        *("[45]..", "$namespace", "$pod"),
    }
)

_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"[A-Za-z_:][\w:]*(?!\w)(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "group_left", "group_right"})


@dataclass(frozen=True)
class Named:
    """What an expression names: metrics, each with its matchers, and labels to group by."""

    selectors: tuple[tuple[str, Mapping[str, str]], ...]
    grouping: Labels

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.selectors)


def read_names(expr: str) -> Named:
    """Return what an expression names."""
    grouping = {
        label.strip() for found in _GROUPING.findall(expr) for label in found.split(",") if label
    }
    rest = _GROUPING.sub(" ", expr)
    selectors = [(name, dict(_MATCHER.findall(found))) for name, found in _SELECTOR.findall(rest)]
    bare = _NAME.findall(_RANGE.sub(" ", _SELECTOR.sub(" ", rest)))
    selectors += [(name, {}) for name in bare if name not in _WORDS]
    return Named(tuple(selectors), frozenset(grouping))


def find_slips(expr: str, known: Mapping[str, Labels]) -> list[str]:
    """Return what an expression names that is not there: metrics, labels, and their values."""
    named = read_names(expr)
    slips = [name for name in named.metrics if name not in known]
    there = SCRAPE.union(*(known.get(name, ()) for name in named.metrics))
    slips += named.grouping - there
    for name, matchers in named.selectors:
        slips += matchers.keys() - SCRAPE - known.get(name, frozenset())
        slips += {each for value in matchers.values() for each in value.split("|")} - VALUES
    return slips


def list_registered() -> Mapping[str, Labels]:
    """Return the labels of all that the service counts, by the names that a scrape has."""
    registry = CollectorRegistry()
    Metrics(registry, version="test")
    return {
        name: labels
        for collector in registry._collector_to_names
        for family in collector.collect()
        for name, labels in _list_samples(family, getattr(collector, "_labelnames", ()))
    }


def _list_samples(family: Metric, own: Iterable[str]) -> Iterator[tuple[str, Labels]]:
    told = {label for sample in family.samples for label in sample.labels}
    labels = frozenset({*getattr(family, "_labelnames", ()), *own, *told} - {"le"})
    match family.type:
        case "counter":
            yield f"{family.name}_total", labels
        case "info":
            yield f"{family.name}_info", labels
        case "histogram":
            yield f"{family.name}_bucket", labels | {"le"}
            yield f"{family.name}_sum", labels
            yield f"{family.name}_count", labels
        case _:
            yield family.name, labels
