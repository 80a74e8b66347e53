"""Turns the configuration into stores, providers and aliases."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from .aliases import Alias
from .dispatch.notation import Notation
from .parameters import TYPED_PARAMETERS, Json, Parameters, refusal
from .prompts import PromptRef
from .providers import DIALECTS
from .providers.catalogue import CATALOGUE, CatalogueRow
from .providers.dialect import Quirks
from .providers.echo import EchoProvider
from .providers.provider import Provider
from .providers.remote import Endpoint, RemoteProvider
from .providers.transport import Timeouts, Transport
from .settings import Loaded
from .settings.load import Place
from .settings.model import (
    ALIAS_KEYS_WITHOUT_EFFECT,
    AliasParams,
    AliasSettings,
    DirectorySettings,
    HumanloopSettings,
    ProviderSettings,
)
from .settings.secrets import Secret
from .templates.cache import Source
from .templates.directory import DirectoryStore
from .templates.fields import FieldError, read_parameters
from .templates.humanloop import HumanloopStore
from .templates.store import TemplateStore
from .templates.web import WebClient

EXAMPLES = Path(__file__).parent / "examples"
"""The prompts that are served where no store is configured."""

ECHO = "echo"

HUMANLOOP = "humanloop"
_HUMANLOOP_URL = "https://api.humanloop.com/v5"


def build_sources(loaded: Loaded, tls: ssl.SSLContext) -> tuple[Mapping[str, Source], str]:
    """Return the stores by name, and the name of the default one.

    The store `humanloop` is there without being configured, but not as the default one.
    """
    settings = loaded.settings
    stores = {
        name: Source(_build_store(loaded, name, store, tls), store.ttl_s)
        for name, store in settings.stores.items()
    }
    if not stores:
        stores["examples"] = Source(DirectoryStore(name="examples", root=EXAMPLES), ttl_s=0)
    default = settings.default_store or next(iter(stores))
    if HUMANLOOP not in stores:
        own = HumanloopSettings(type="humanloop")
        stores[HUMANLOOP] = Source(_build_humanloop(loaded, HUMANLOOP, own, tls), own.ttl_s)
    if default not in stores:
        raise loaded.fault(("default_store",), f"expected one of {', '.join(stores)}")
    return stores, default


def _build_store(
    loaded: Loaded,
    name: str,
    settings: DirectorySettings | HumanloopSettings,
    tls: ssl.SSLContext,
) -> TemplateStore:
    if isinstance(settings, HumanloopSettings):
        return _build_humanloop(loaded, name, settings, tls)
    root = loaded.folder / settings.path
    try:
        came = "a file" if root.exists() else "nothing there"
        found = root.is_dir()
    except (OSError, ValueError):
        came, found = "what is no path", False
    if not found:
        raise loaded.fault(("stores", name, "path"), f"expected a directory, got {came}")
    return DirectoryStore(name=name, root=root)


def _build_humanloop(
    loaded: Loaded, name: str, settings: HumanloopSettings, tls: ssl.SSLContext
) -> TemplateStore:
    environment = loaded.environment
    key = settings.api_key or environment.secret(("HUMANLOOP_API_KEY",))
    client = WebClient(
        name=name,
        base_url=(
            settings.base_url or environment.first(("HUMANLOOP_BASE_URL",)) or _HUMANLOOP_URL
        ),
        timeout_s=settings.timeout_s,
        tls=tls,
        find_proxy=environment.proxy_for,
    )
    return HumanloopStore(
        name=name,
        client=client,
        timeout_s=settings.timeout_s,
        find_key=key.reveal,
        key_hint=f"stores.{name}.api_key or HUMANLOOP_API_KEY",
    )


class ProviderFactory:
    """Makes providers, by what is configured for them and what is known of them."""

    def __init__(self, loaded: Loaded, transport: Transport) -> None:
        self._loaded = loaded
        self._configured = loaded.settings.providers
        self._transport = transport

    def make_all(self) -> Mapping[str, Provider]:
        """Return every provider that is known or configured, by name."""
        providers: dict[str, Provider] = {ECHO: EchoProvider()}
        for name in (*CATALOGUE, *self._configured):
            providers[name] = self._make(name, self._configured.get(name, ProviderSettings()))
        return providers

    def make_for_alias(self, provider: str, params: AliasParams) -> Provider | None:
        """Return a provider with an alias' own key or address, or None where it has neither.

        No key goes to an address that it was not configured for: not the provider's to the alias'.
        """
        known = provider in CATALOGUE or provider in self._configured
        if not known or (params.api_key is None and params.api_base is None):
            return None
        settings = self._configured.get(provider, ProviderSettings())
        if params.api_base is None:
            own = settings.model_copy(update={"api_key": params.api_key})
            return self._make(provider, own)
        own = settings.model_copy(update={"api_key": params.api_key, "base_url": params.api_base})
        return self._make(provider, own, at_known_address=False)

    def _make(
        self, name: str, settings: ProviderSettings, *, at_known_address: bool = True
    ) -> Provider:
        row = CATALOGUE.get(name)
        dialect = settings.dialect or (row.dialect if row is not None else None)
        if dialect is None or dialect not in DIALECTS:
            expected = f"expected one of {', '.join(DIALECTS)}"
            raise self._loaded.fault(("providers", name, "dialect"), expected)
        base_url = settings.base_url or self._known_base_url(row)
        if base_url is None:
            raise self._loaded.fault(("providers", name, "base_url"), "expected a URL")
        key: Secret | None = settings.api_key
        if key is None and row is not None and at_known_address:
            key = self._loaded.environment.secret(row.key_variables)
        endpoint = Endpoint(
            base_url=base_url,
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                first_byte_s=settings.first_byte_timeout_s,
                idle_s=settings.idle_timeout_s,
            ),
            find_key=key.reveal if key is not None else lambda: None,
            key_required=settings.api_key is not None or (row is not None and at_known_address),
            stream_completions=settings.stream_completions,
            quirks=row.quirks if row is not None and base_url == row.base_url else Quirks(),
        )
        return RemoteProvider(
            name=name, dialect=DIALECTS[dialect], endpoint=endpoint, transport=self._transport
        )

    def _known_base_url(self, row: CatalogueRow | None) -> str | None:
        if row is None:
            return None
        return self._loaded.environment.first(row.base_url_variables) or row.base_url


def build_aliases(loaded: Loaded, notation: Notation) -> Mapping[str, Alias]:
    """Return the configured aliases by name; of several rows with one name, the first."""
    aliases: dict[str, Alias] = {}
    for index, row in enumerate(loaded.settings.model_list):
        place = ("model_list", index, "litellm_params")
        if row.model_name not in aliases:
            aliases[row.model_name] = _build_alias(loaded, notation, row, place)
    return aliases


def build_alias_providers(
    loaded: Loaded, notation: Notation, aliases: Mapping[str, Alias], factory: ProviderFactory
) -> Mapping[tuple[str, str], Provider]:
    """Return the providers that aliases have keys or addresses of their own for."""
    providers: dict[tuple[str, str], Provider] = {}
    for index, row in enumerate(loaded.settings.model_list):
        params, alias = row.litellm_params, aliases[row.model_name]
        owner = (
            alias.provider or notation.choose(requested=None, alias=alias, template=None).provider
        )
        if not owner and (params.api_key is not None or params.api_base is not None):
            raise loaded.fault(
                ("model_list", index, "litellm_params"),
                "expected custom_llm_provider, to tell whose the key is, as the model does not",
            )
        own = factory.make_for_alias(notation.provider_name(owner), params)
        if own is not None:
            providers.setdefault((row.model_name, notation.provider_name(owner)), own)
    return providers


def _build_alias(loaded: Loaded, notation: Notation, row: AliasSettings, place: Place) -> Alias:
    params = row.litellm_params
    if params.prompt_version is not None and params.prompt_label is not None:
        raise loaded.fault(place, "expected prompt_version or prompt_label, got both")
    store = notation.read(params.model).store
    prompt = None
    if params.prompt_id is not None:
        prompt = PromptRef(
            id=params.prompt_id,
            store=store,
            version=params.prompt_version,
            environment=params.prompt_label,
        )
    try:
        parameters = _read_alias_parameters(params)
    except FieldError as error:
        raise loaded.fault((*place, *error.path), error.problem) from None
    return Alias(
        name=row.model_name,
        store=store,
        prompt=prompt,
        variables=params.prompt_variables,
        model=params.model,
        provider=params.custom_llm_provider,
        prefer_template_model=params.prefer_template_model,
        parameters=parameters,
    )


def _read_alias_parameters(params: AliasParams) -> Parameters:
    given: dict[str, Json] = dict(params.model_extra or {})
    extra = {
        name: value
        for name, value in given.items()
        if name not in TYPED_PARAMETERS and name not in ALIAS_KEYS_WITHOUT_EFFECT
    }
    for name in extra:
        if problem := refusal(name):
            raise FieldError((name,), f"refused, as it {problem}")
    top_k, parallel = given.get("top_k"), given.get("parallel_tool_calls")
    if isinstance(top_k, bool) or not isinstance(top_k, int | None):
        raise FieldError(("top_k",), "expected a whole number")
    if not isinstance(parallel, bool | None):
        raise FieldError(("parallel_tool_calls",), "expected true or false")
    return replace(read_parameters(given), top_k=top_k, parallel_tool_calls=parallel, extra=extra)
