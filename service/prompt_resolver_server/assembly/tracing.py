"""Traces, where a collector is configured."""

import logging

from ..settings import Loaded
from ..tracing import NO_TRACER, Tracer
from .collector import NEEDS, find_endpoint, is_installed

_log = logging.getLogger(__name__)


def check_tracing(loaded: Loaded) -> None:
    """Raise `ConfigError` where a collector is configured, and what it needs is not there."""
    if loaded.settings.tracing.otlp_endpoint is not None and not is_installed():
        raise loaded.fault(("tracing", "otlp_endpoint"), NEEDS)


def build_tracer(loaded: Loaded, version: str) -> Tracer:
    """Return what traces calls, or `NO_TRACER` without a collector. Raises `ConfigError`."""
    check_tracing(loaded)
    endpoint = find_endpoint(loaded, "traces", loaded.settings.tracing.otlp_endpoint)
    if endpoint is None:
        return NO_TRACER
    if not is_installed():
        # The variables are often there for every pod, and ask nothing of this one.
        _log.warning("there are no traces", extra={"needs": NEEDS})
        return NO_TRACER
    # Who traces nothing does not pay for the package, nor has to have it.
    from ..tracing.otel import trace_to  # noqa: PLC0415

    ratio = loaded.settings.tracing.sample_ratio
    return trace_to(endpoint, sample_ratio=ratio, version=version)
