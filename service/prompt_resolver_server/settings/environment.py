"""The environment, as far as the rest of the service may see it."""

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in the stubs

from typing_extensions import override

from .secrets import EnvironmentSecret, Secret

_PORTS = {"http": 80, "https": 443}


class Environment:
    """Variables that are looked up by those who need them, when they need them.

    Two are equal that have the same variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._proxies = {
            scheme: proxy
            for scheme in ("http", "https", "all", "no")
            if (proxy := environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY"))
        }

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Environment) and other._environ == self._environ

    __hash__ = None  # type: ignore[assignment]  # what it shows may change

    def first(self, names: tuple[str, ...]) -> str | None:
        """Return the first of several variables that is set. Empty counts as not set."""
        return next((value for name in names if (value := self._environ.get(name))), None)

    def secret(self, names: tuple[str, ...]) -> Secret:
        """Return a secret that is looked up in several variables each time it is used."""
        return EnvironmentSecret(self._environ, names)

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy for a URL by the customary variables, or None to go there directly.

        One without a scheme is spoken to in HTTP.
        """
        if not self._proxies:
            return None
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        if proxy_bypass_environment(f"{parts.hostname or ''}:{port}", self._proxies):
            return None
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        return f"http://{proxy}" if proxy is not None and "://" not in proxy else proxy
