"""Where providers are, and which key lets us in: by the configuration and the catalogue."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from ..providers.catalogue import CATALOGUE, CatalogueRow
from ..providers.dialect import NO_QUIRKS, Quirks
from ..providers.dialects import DIALECTS
from ..providers.endpoint import Endpoint
from ..providers.signers import SIGNERS, Signer
from ..providers.transport.transport import Timeouts
from ..settings import Loaded
from ..settings.accounts import CREDENTIALS, CREDENTIALS_BY_SIGNER, may_be
from ..settings.fields import check_url
from ..settings.litellm import AliasParams
from ..settings.model import ProviderSettings
from ..settings.secrets import Secret

_BRACES = re.compile(r"\{(\w+)\}")
_USUAL_LIMIT = {"max_completion_tokens": "max_tokens"}
_SIGNERS_BY_DIALECT = {row.dialect: row.signer for row in CATALOGUE.values() if row.signer}
"""A provider of somebody's own lets in as the one does whose dialect it speaks."""


class IncompleteError(Exception):
    """A provider that is known, and cannot be called as its configuration is."""

    def __init__(
        self, provider: str, setting: str, variables: Sequence[str], *, kind: str = ""
    ) -> None:
        self.setting = setting
        """What is not set, or not to what it should be: one of `ProviderSettings`."""
        places = " or ".join((f"providers.{provider}.{setting}", *variables))
        self.needs = f"{kind} in {places}" if kind else places
        """What it would be, and where."""
        super().__init__(self.needs)


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
        """Return a provider's own endpoint. Raises `IncompleteError`, and `ConfigError`."""
        settings = self._settings(name)
        hint = f"providers.{name}.api_key" if settings.api_key is not None else ""
        return self._make(name, settings, hint)

    def of_row(self, name: str, row: int, params: AliasParams) -> Endpoint | None:
        """Return the endpoint of a row's own key, account or address, or None where it has none.

        No key goes to an address that it was not configured for: not the provider's to the row's.
        Raises `IncompleteError`, and `ConfigError`.
        """
        has_own = params.api_key is not None or params.api_base is not None or params.account
        if name not in self.names or not has_own:
            return None
        place = f"model_list.{row}.litellm_params"
        own: dict[str, object] = {**params.account}
        if params.api_key is not None:
            own["api_key"] = params.api_key
        settings = self._settings(name)
        hint = f"{place}.api_key" if params.api_key is not None else ""
        if params.api_base is None:
            if not hint and settings.api_key is not None:
                hint = f"providers.{name}.api_key"
            return self._make(name, settings.model_copy(update=own), hint)
        own = {**dict.fromkeys(CREDENTIALS), **own}
        own |= {"api_key": params.api_key, "base_url": params.api_base}
        return self._make(name, settings.model_copy(update=own), hint, at_known_address=False)

    def _settings(self, name: str) -> ProviderSettings:
        return self._configured.get(name, ProviderSettings())

    def _make(
        self, name: str, settings: ProviderSettings, hint: str, *, at_known_address: bool = True
    ) -> Endpoint:
        row = CATALOGUE.get(name)
        settings = self._complete(name, row, settings, at_known_address=at_known_address)
        base_url = self._base_url(name, row, settings)
        key: Secret | None = settings.api_key
        if key is None and row is not None and at_known_address:
            key = self._loaded.environment.secret(row.key_variables)
            hint = " or ".join(row.key_variables)
        required = settings.api_key is not None or (
            row is not None and at_known_address and not (row.key_optional or row.signer)
        )
        return Endpoint(
            base_url=base_url,
            vendor_url=_vendor_url(row, settings, base_url),
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                first_byte_s=settings.first_byte_timeout_s,
                idle_s=settings.idle_timeout_s,
            ),
            find_key=key.reveal if key is not None else lambda: None,
            key_required=required,
            key_hint=hint,
            stream_completions=settings.stream_completions,
            drop_unsupported=settings.drop_unsupported,
            signer=self._signer(row, settings, at_known_address=at_known_address),
            account=(key, *(getattr(settings, each) for each in CREDENTIALS)),
            quirks=_quirks(row, settings, base_url),
        )

    def _complete(
        self,
        provider: str,
        row: CatalogueRow | None,
        settings: ProviderSettings,
        *,
        at_known_address: bool,
    ) -> ProviderSettings:
        """Return a provider's settings with what its customary variables say of its account.

        What lets somebody in goes to no other address than the provider's.
        """
        environment = self._loaded.environment
        found: dict[str, object] = {}
        for name, variables in (row.account_variables if row is not None else {}).items():
            value = environment.first(variables)
            if value is None or getattr(settings, name) is not None:
                continue
            if name not in CREDENTIALS:
                if not may_be(name, value):
                    kind = "letters, digits, dots and dashes"
                    raise IncompleteError(provider, name, variables, kind=kind)
                found[name] = value
            elif at_known_address:
                found[name] = environment.secret(variables)
        return settings.model_copy(update=found)

    def _base_url(self, name: str, row: CatalogueRow | None, settings: ProviderSettings) -> str:
        if settings.base_url is not None:
            return settings.base_url
        if row is None:
            raise self._loaded.fault(("providers", name, "base_url"), "expected a URL")
        known = self._loaded.environment.first(row.base_url_variables) or row.base_url
        if known is None or not _is_url(known):
            raise IncompleteError(name, "base_url", row.base_url_variables, kind="a URL")
        account = settings.account
        for setting in _BRACES.findall(known):
            if setting not in account:
                variables = row.account_variables.get(setting, ())
                raise IncompleteError(name, setting, variables)
        url = _BRACES.sub(lambda match: str(account[match[1]]), known)
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{row.hosts.get(host, host)}{slash}{path}"

    def _signer(
        self, row: CatalogueRow | None, settings: ProviderSettings, *, at_known_address: bool
    ) -> Signer | None:
        """Return what lets requests in that have no key: elsewhere, by its own account alone."""
        signer = row.signer if row is not None else _SIGNERS_BY_DIALECT.get(settings.dialect or "")
        if signer is None:
            return None
        has_own = any(getattr(settings, name) for name in CREDENTIALS_BY_SIGNER[signer])
        if not has_own and not (at_known_address and row is not None):
            return None
        return SIGNERS[signer](settings)


def _is_url(value: str) -> bool:
    try:
        check_url(value)
    except ValueError:
        return False
    return True


def _vendor_url(row: CatalogueRow | None, settings: ProviderSettings, base_url: str) -> str:
    """Return where a provider's vendor is, though it may be reached by way of another address."""
    if row is None or row.base_url is None:
        return base_url
    account = settings.account
    return _BRACES.sub(lambda match: str(account.get(match[1], match[0])), row.base_url)


def _quirks(row: CatalogueRow | None, settings: ProviderSettings, base_url: str) -> Quirks:
    """Return where a provider differs from its dialect, as far as that is known of its URL.

    The limit goes by the name that it was given where nobody knows the server. A vendor who is
    known gets the one that all of them take, unless its row says otherwise: some pass over the
    newer one silently, and others refuse it.
    """
    quirks = NO_QUIRKS
    if row is not None and (row.base_url is None or _is_at(row.base_url, base_url)):
        quirks = row.quirks
        if row.base_url is not None and "max_tokens" not in quirks.renames:
            quirks = replace(quirks, renames={**_USUAL_LIMIT, **quirks.renames})
    if settings.api_version is not None:
        quirks = replace(quirks, api_version=settings.api_version)
    return quirks


def _is_at(known: str, base_url: str) -> bool:
    """Tell whether a URL is the one that is known, whatever stands in its braces."""
    parts = (re.escape(part) for part in _BRACES.split(known)[::2])
    return re.fullmatch("[^/]+".join(parts), base_url.rstrip("/")) is not None
