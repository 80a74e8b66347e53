"""Metrics for OpenTelemetry, where a collector is configured. Prometheus needs nothing of it."""

import logging
from contextlib import AsyncExitStack

from ..metrics import Metrics
from ..settings import Loaded
from .collector import NEEDS, find_endpoint, is_installed

_log = logging.getLogger(__name__)

_EXPORTER = ("OTEL_METRICS_EXPORTER",)


def check_metrics(loaded: Loaded) -> None:
    """Raise `ConfigError` where a collector is configured, and what it needs is not there."""
    if loaded.settings.metrics.otlp_endpoint is not None and not is_installed():
        raise loaded.fault(("metrics", "otlp_endpoint"), NEEDS)


def deliver_metrics(loaded: Loaded, metrics: Metrics, stack: AsyncExitStack) -> None:
    """Deliver the metrics to the collector, if there is one, until the stack is closed.

    To be called inside of a running event loop. Raises `ConfigError`.
    """
    check_metrics(loaded)
    settings = loaded.settings.metrics
    if settings.otlp_endpoint is None and loaded.environment.first(_EXPORTER) == "none":
        return
    endpoint = find_endpoint(loaded, "metrics", settings.otlp_endpoint)
    if endpoint is None:
        return
    if not is_installed():
        # The variables are often there for every pod, and ask nothing of this one.
        _log.warning("no metrics are delivered", extra={"needs": NEEDS})
        return
    # Who delivers nothing does not pay for the package, nor has to have it.
    from ..metrics.otel import deliver_to  # noqa: PLC0415
    from ..tracing.otel import describe_service  # noqa: PLC0415

    delivery = deliver_to(
        endpoint,
        metrics.registry,
        resource=describe_service(metrics.version),
        version=metrics.version,
        interval_s=settings.interval_s,
    )
    stack.push_async_callback(delivery.aclose)
