"""Where providers are, and which key lets us in: by the configuration and the catalogue."""

from collections.abc import Sequence

from ..providers.catalogue import CATALOGUE
from ..providers.dialect import Quirks
from ..providers.dialects import DIALECTS
from ..providers.remote import Endpoint
from ..providers.transport.transport import Timeouts
from ..settings import Loaded
from ..settings.litellm import AliasParams
from ..settings.model import ProviderSettings
from ..settings.secrets import Secret


class Endpoints:
    """The endpoints of the providers that are known or configured."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._configured = loaded.settings.providers

    @property
    def names(self) -> Sequence[str]:
        """The names of these providers."""
        return tuple(dict.fromkeys((*CATALOGUE, *self._configured)))

    def dialect(self, name: str) -> str:
        """Return a provider's dialect. Raises `ConfigError` where there is none."""
        row = CATALOGUE.get(name)
        dialect = self._settings(name).dialect or (row.dialect if row is not None else None)
        if dialect is None or dialect not in DIALECTS:
            expected = f"expected one of {', '.join(DIALECTS)}"
            raise self._loaded.fault(("providers", name, "dialect"), expected)
        return dialect

    def of_provider(self, name: str) -> Endpoint:
        """Return a provider's own endpoint. Raises `ConfigError` where there is none."""
        settings = self._settings(name)
        hint = f"providers.{name}.api_key" if settings.api_key is not None else ""
        return self._make(name, settings, hint)

    def of_row(self, name: str, row: int, params: AliasParams) -> Endpoint | None:
        """Return the endpoint of a row's own key or address, or None where it has neither.

        No key goes to an address that it was not configured for: not the provider's to the row's.
        """
        if name not in self.names or (params.api_key is None and params.api_base is None):
            return None
        hint = f"model_list.{row}.litellm_params.api_key" if params.api_key is not None else ""
        own: dict[str, object] = {"api_key": params.api_key}
        if params.api_base is None:
            return self._make(name, self._settings(name).model_copy(update=own), hint)
        own["base_url"] = params.api_base
        settings = self._settings(name).model_copy(update=own)
        return self._make(name, settings, hint, at_known_address=False)

    def _settings(self, name: str) -> ProviderSettings:
        return self._configured.get(name, ProviderSettings())

    def _make(
        self, name: str, settings: ProviderSettings, hint: str, *, at_known_address: bool = True
    ) -> Endpoint:
        row = CATALOGUE.get(name)
        base_url = settings.base_url
        if base_url is None and row is not None:
            found = self._loaded.environment.first(row.base_url_variables)
            base_url = found or row.base_url
        if base_url is None:
            raise self._loaded.fault(("providers", name, "base_url"), "expected a URL")
        key: Secret | None = settings.api_key
        if key is None and row is not None and at_known_address:
            key = self._loaded.environment.secret(row.key_variables)
            hint = " or ".join(row.key_variables)
        return Endpoint(
            base_url=base_url,
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                first_byte_s=settings.first_byte_timeout_s,
                idle_s=settings.idle_timeout_s,
            ),
            find_key=key.reveal if key is not None else lambda: None,
            key_required=settings.api_key is not None or (row is not None and at_known_address),
            key_hint=hint,
            stream_completions=settings.stream_completions,
            quirks=row.quirks if row is not None and base_url == row.base_url else Quirks(),
        )
