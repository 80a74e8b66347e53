"""How it goes, in numbers: what the metrics count, as the page shows it.

All counts are since the service started; whoever wants those of a while asks twice.
"""

import time
from collections import Counter
from collections.abc import Mapping

from ...domain.parameters import Json
from ...domain.permissions import UNLIMITED
from ...entry.admission import CallClass, Gate
from ...entry.serving import Serving
from ...metrics import Metrics
from ...templates.cache.inventory import Inventory


class Overview:
    """Tells how one service is doing."""

    def __init__(
        self, *, serving: Serving, metrics: Metrics, gates: Mapping[CallClass, Gate]
    ) -> None:
        self._serving = serving
        self._metrics = metrics
        self._gates = gates
        self._started_at = time.monotonic()

    def describe(self) -> dict[str, Json]:
        """Return it as a document."""
        resolver = self._serving.resolver
        inventory = resolver.inventory
        return {
            "version": self._metrics.version,
            "uptime_s": time.monotonic() - self._started_at,
            "aliases": [*resolver.list_aliases(UNLIMITED)],
            "stores": self._stores(inventory),
            "cache": {"entries": inventory.entries, "bytes": inventory.size},
            "calls": self._calls(),
            "running": {name: gate.running for name, gate in self._gates.items()},
            "upstream": self._upstream(),
            "upstream_running": {
                provider: int(tally.value)
                for (provider,), tally in self._metrics.upstream.inflight.items()
            },
            "upstream_bounds_s": list(self._metrics.upstream.seconds.bounds),
            "tokens": [
                {
                    "provider": provider,
                    "model": model,
                    "direction": direction,
                    "count": int(tally.value),
                }
                for (provider, model, direction), tally in self._metrics.upstream.tokens.items()
            ],
        }

    def _stores(self, inventory: Inventory) -> list[Json]:
        """Return each store, and how often a template of it was served in which way."""
        served: dict[str, dict[str, Json]] = {name: {} for name in inventory.ttls_s}
        for (store, result), tally in self._metrics.templates.items():
            if store in served:
                served[store][result] = int(tally.value)
        return [
            {
                "name": name,
                "default": name == inventory.default_store,
                "ttl_s": ttl_s,
                "served": served[name],
            }
            for name, ttl_s in inventory.ttls_s.items()
        ]

    def _calls(self) -> list[Json]:
        """Return how many calls ended in which way. The page's own are not worth telling."""
        calls: list[Json] = [
            {"door": "grpc", "method": method, "status": status, "count": int(tally.value)}
            for (_, _, method, status), tally in self._metrics.grpc.handled.items()
        ]
        calls += [
            {"door": "http", "method": route, "status": status, "count": int(tally.value)}
            for (route, status), tally in self._metrics.http.requests.items()
            if not route.startswith("page.")
        ]
        return calls

    def _upstream(self) -> list[Json]:
        """Return each model that was asked: how long its answers took, by bucket, and what failed.

        A bucket holds what took no longer than its bound, and longer than the one before.
        """
        seconds = self._metrics.upstream.seconds
        answered: dict[tuple[str, str], list[Json]] = {}
        unanswered: Counter[tuple[str, str, str]] = Counter()
        for (provider, model, outcome), distribution in seconds.items():
            buckets = answered.setdefault((provider, model), [0] * (len(seconds.bounds) + 1))
            if outcome == "ok":
                buckets[:] = distribution.counts
            else:
                kind = outcome if outcome == "cancelled" else "failed"
                unanswered[provider, model, kind] += sum(distribution.counts)
        return [
            {
                "provider": provider,
                "model": model,
                "buckets": buckets,
                "failed": unanswered[provider, model, "failed"],
                "cancelled": unanswered[provider, model, "cancelled"],
            }
            for (provider, model), buckets in answered.items()
        ]
