"""Providers of a configuration, whose requests are looked at and never sent."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.endpoints import Endpoints
from prompt_resolver_server.assembly.providers import ProviderFactory
from prompt_resolver_server.domain.answers import Delta, ModelRequest
from prompt_resolver_server.domain.errors import UpstreamError
from prompt_resolver_server.providers.transport.transport import (
    HttpRequest,
    HttpResponse,
    TransportError,
)


class NoNetwork:
    """A `Transport` that reaches nobody, and keeps what it was to send."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    @asynccontextmanager
    async def post(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        self.requests.append(request)
        if self.requests:
            raise TransportError("unreachable")
        yield  # type: ignore[misc]  # never

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""


async def request_of(
    folder: Path,
    provider: str,
    request: ModelRequest,
    *,
    config: str = "",
    environ: Mapping[str, str] | None = None,
) -> HttpRequest:
    """Return what a provider would send for a stream. Raises `CallError` where it would not."""
    path = folder / "config.yaml"
    path.write_text(config)
    network = NoNetwork()
    factory = ProviderFactory(Endpoints(load_configuration(path, environ or {})), network)

    async def ignore(deltas: Sequence[Delta]) -> None:
        raise AssertionError

    try:
        await factory.make_all()[provider].stream(request, ignore, caller_key=None)
    except UpstreamError:
        (sent,) = network.requests
        return sent
    raise AssertionError("the provider answered")
