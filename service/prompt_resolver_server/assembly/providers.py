"""Providers, of the configuration and of what is known of them."""

from collections.abc import Mapping

from ..dispatch.orders import Limits
from ..providers.answer_tool import AnswerToolProvider
from ..providers.dialects import DIALECTS
from ..providers.echo import EchoProvider
from ..providers.endpoint import Endpoint
from ..providers.incomplete import IncompleteProvider
from ..providers.provider import Provider
from ..providers.remote import RemoteProvider
from ..providers.transport.transport import Transport
from ..settings import Settings
from ..settings.litellm import AliasParams
from .endpoints import Endpoints, IncompleteError

ECHO = "echo"


def build_limits(settings: Settings) -> Mapping[str, Limits]:
    """Return how much each provider is asked that is configured."""
    return {
        name: Limits(
            breaker=each.breaker,
            max_concurrency=each.max_concurrency,
            max_queue_s=each.max_queue_s,
        )
        for name, each in settings.providers.items()
    }


class ProviderFactory:
    """Makes providers, by what is configured for them and what is known of them."""

    def __init__(self, endpoints: Endpoints, transport: Transport) -> None:
        self._endpoints = endpoints
        self._transport = transport

    def make_all(self) -> Mapping[str, Provider]:
        """Return every provider that is known or configured, by name."""
        providers: dict[str, Provider] = {ECHO: EchoProvider()}
        for name in self._endpoints.names:
            dialect = self._endpoints.dialect(name)
            try:
                endpoint = self._endpoints.of_provider(name)
            except IncompleteError as error:
                providers[name] = IncompleteProvider(name=name, needs=error.needs)
            else:
                providers[name] = self._make(name, dialect, endpoint)
        return providers

    def make_for_row(self, name: str, row: int, params: AliasParams) -> Provider | None:
        """Return a provider with a row's own key or address, or None where it has neither."""
        try:
            endpoint = self._endpoints.of_row(name, row, params)
        except IncompleteError as error:
            return IncompleteProvider(name=name, needs=error.needs)
        if endpoint is None:
            return None
        return self._make(name, self._endpoints.dialect(name), endpoint)

    def _make(self, name: str, dialect: str, endpoint: Endpoint) -> Provider:
        spoken = DIALECTS[dialect]
        provider = RemoteProvider(
            name=name, dialect=spoken, endpoint=endpoint, transport=self._transport
        )
        lacking = endpoint.quirks.lacks_forms | spoken.lacks_forms
        return AnswerToolProvider(provider, name=name, lacking=lacking) if lacking else provider
