"""Where OpenTelemetry's collector is, for those who send something there."""

import importlib.util

from ..settings import Loaded

_EVERYTHING = ("OTEL_EXPORTER_OTLP_ENDPOINT",)

NEEDS = "expected OpenTelemetry: install prompt-resolver[server,otel]"
"""What is wrong where a collector is configured that cannot be sent anything."""


def find_endpoint(loaded: Loaded, kind: str, configured: str | None) -> str | None:
    """Return the URL that what is of a kind is sent to, `traces` or `metrics`; None for nowhere.

    It is the configured one with the kind's path, else what OpenTelemetry's variables say.
    """
    own = (f"OTEL_EXPORTER_OTLP_{kind.upper()}_ENDPOINT",)
    if configured is None and (whole := loaded.environment.first(own)) is not None:
        return whole
    base = configured or loaded.environment.first(_EVERYTHING)
    return f"{base.rstrip('/')}/v1/{kind}" if base is not None else None


def is_installed() -> bool:
    """Tell whether the extra `otel` is installed."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
