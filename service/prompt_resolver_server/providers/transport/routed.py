"""The transport that sends each request the way that is meant for it: directly, or by a proxy."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache

from .transport import HttpRequest, HttpResponse, Transport


class RoutedTransport:
    """A `Transport` over two others, both of which it owns.

    `find_proxy` gives the proxy for a URL, if there is one.
    """

    def __init__(
        self, *, direct: Transport, proxied: Transport, find_proxy: Callable[[str], str | None]
    ) -> None:
        self._direct = direct
        self._proxied = proxied
        # The environment of a process does not change.
        self._find_proxy = lru_cache(maxsize=1024)(find_proxy)

    def post(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request; see `Transport.post`."""
        by_proxy = self._find_proxy(request.url) is not None
        return (self._proxied if by_proxy else self._direct).post(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._direct.aclose()
        await self._proxied.aclose()
