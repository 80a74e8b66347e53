"""Traces, where a collector is configured."""

import importlib.util
import logging

from ..settings import Loaded
from ..tracing import NO_TRACER, Tracer

_log = logging.getLogger(__name__)

_TRACES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",)
_ALL = ("OTEL_EXPORTER_OTLP_ENDPOINT",)
_NEEDS = "expected OpenTelemetry: install prompt-resolver[server,otel]"


def check_tracing(loaded: Loaded) -> None:
    """Raise `ConfigError` where a collector is configured, and what it needs is not there."""
    if loaded.settings.tracing.otlp_endpoint is not None and not _is_installed():
        raise loaded.fault(("tracing", "otlp_endpoint"), _NEEDS)


def build_tracer(loaded: Loaded, version: str) -> Tracer:
    """Return what traces calls, or `NO_TRACER` without a collector. Raises `ConfigError`."""
    check_tracing(loaded)
    endpoint = _find_endpoint(loaded)
    if endpoint is None:
        return NO_TRACER
    if not _is_installed():
        # The variables are often there for every pod, and ask nothing of this one.
        _log.warning("there are no traces", extra={"needs": _NEEDS})
        return NO_TRACER
    # Who traces nothing does not pay for the package, nor has to have it.
    from ..tracing.otel import trace_to  # noqa: PLC0415

    ratio = loaded.settings.tracing.sample_ratio
    return trace_to(endpoint, sample_ratio=ratio, version=version)


def _find_endpoint(loaded: Loaded) -> str | None:
    configured = loaded.settings.tracing.otlp_endpoint
    if configured is None and (whole := loaded.environment.first(_TRACES)) is not None:
        return whole
    base = configured or loaded.environment.first(_ALL)
    return f"{base.rstrip('/')}/v1/traces" if base is not None else None


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
