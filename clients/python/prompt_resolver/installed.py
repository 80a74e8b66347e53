"""Whether the service is installed beside the client."""

from importlib.util import find_spec

_NEEDED = ("aiohttp", "pydantic", "prometheus_client", "yaml")


def is_service_installed() -> bool:
    """Tell whether what the extra `[server]` brings is there."""
    return all(find_spec(name) is not None for name in _NEEDED)
