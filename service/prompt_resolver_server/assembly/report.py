"""What a configuration means: for each row of each alias, what will run, and whose key goes where.

It is found out without any network, and by the code that the service is built with. No key is in
it.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from ..dispatch.notation import Notation
from ..dispatch.route import shares
from ..domain.aliases import Alias, Deployment, Fallbacks, Terms
from ..domain.values import Value
from ..providers.dialects import DIALECTS
from ..providers.endpoint import Endpoint
from ..settings import Loaded
from ..settings.faults import Place
from .base_urls import find_doubled
from .callers import CallerReport, check_callers, report_callers
from .endpoints import Endpoints, IncompleteError
from .metrics import check_metrics
from .model_list import build_aliases, build_terms, find_owner
from .protection import check_certificates, check_protection
from .providers import ECHO
from .shared_cache import check_shared_cache
from .state import check_state
from .stores import build_stores
from .tracing import check_tracing


class PromptReport(Value, frozen=True, kw_only=True):
    """Which prompt a row serves; `id` is None where the call has to name it."""

    store: str
    id: str | None = None
    version: str | None = None
    environment: str | None = None


class KeyReport(Value, frozen=True, kw_only=True):
    """Which provider is called, at which host, and where the key for it is configured.

    `source` is a path in the file or a variable, and empty where no key is configured. `is_there`
    tells whether there is one now. Where there is none, `otherwise` lets calls in: an account, or
    nothing at all; and where that is None, no call can be made.
    """

    provider: str
    host: str
    source: str = ""
    is_there: bool = False
    otherwise: Literal["account", "nothing"] | None = None


class RowReport(Value, frozen=True, kw_only=True):
    """One row of an alias; `row` is its place in `model_list`.

    `share` is how much of the alias' calls it gets while none fails. `model` and `provider` are
    empty where the template names them. `key` is None where only the template tells whose key is
    used, and for a provider without a network. `differs` tells what LiteLLM would do in its place.
    """

    row: int
    share: float
    prompt: PromptReport
    provider: str
    model: str
    prefer_template_model: bool
    parameters: tuple[str, ...]
    key: KeyReport | None
    terms: Terms
    differs: tuple[str, ...]


class AliasReport(Value, frozen=True, kw_only=True):
    """An alias, its rows, and what answers in its place."""

    name: str
    rows: tuple[RowReport, ...]
    fallbacks: Fallbacks


class ConfigReport(Value, frozen=True, kw_only=True):
    """A whole configuration.

    `chains` has the members of each store that is a chain, in the order of their being asked.
    `terms` are those of calls that name no alias. `differs` tells what LiteLLM would do in any
    call's place, `doubts` what is likely to be a slip, and `faults` what would fail once it is
    used.
    """

    stores: tuple[str, ...]
    chains: Mapping[str, tuple[str, ...]]
    default_store: str
    aliases: tuple[AliasReport, ...]
    callers: tuple[CallerReport, ...]
    terms: Terms
    differs: tuple[str, ...]
    without_effect: tuple[str, ...]
    absent_keys: tuple[str, ...]
    doubts: tuple[str, ...]
    faults: tuple[str, ...]


async def build_report(loaded: Loaded, tls: ssl.SSLContext) -> ConfigReport:
    """Return what a configuration means. Raises `ConfigError` for one that cannot be served."""
    stores = build_stores(loaded, tls)
    for source in stores.sources.values():
        await source.store.aclose()
    check_callers(loaded)
    check_protection(loaded)
    check_certificates(loaded)
    check_state(loaded)
    check_shared_cache(loaded)
    check_tracing(loaded)
    check_metrics(loaded)
    endpoints = Endpoints(loaded)
    notation = Notation(stores=stores.names, providers={ECHO, *endpoints.names})
    reporter = _Reporter(loaded, notation, endpoints, stores.default)
    for name in endpoints.names:
        reporter.check_provider(name)
    aliases = build_aliases(loaded, notation)
    return ConfigReport(
        stores=tuple(stores.sources),
        chains=stores.chains,
        default_store=stores.default,
        aliases=tuple(reporter.report_alias(alias) for alias in aliases.values()),
        callers=tuple(report_callers(loaded, stores.names, aliases)),
        terms=build_terms(loaded.settings),
        differs=tuple(_list_differences(loaded)),
        without_effect=loaded.without_effect,
        absent_keys=loaded.absent_keys,
        doubts=tuple(reporter.doubts),
        faults=tuple(reporter.faults),
    )


def _list_differences(loaded: Loaded) -> Iterator[str]:
    settings = loaded.settings
    if not settings.model_list:
        return
    yield (
        "a parameter that the call sets wins over the template's, and that one over the row's;"
        " LiteLLM has the template's win over the call's"
    )
    if settings.router_settings.num_retries is settings.litellm_settings.num_retries is None:
        yield "nothing is tried again unless num_retries says so; LiteLLM tries twice more"


class _Reporter:
    """Tells of aliases, and collects what would fail once it is used."""

    def __init__(
        self, loaded: Loaded, notation: Notation, endpoints: Endpoints, default_store: str
    ) -> None:
        self._loaded = loaded
        self._notation = notation
        self._endpoints = endpoints
        self._default_store = default_store
        self.doubts: list[str] = []
        self.faults: list[str] = []

    def check_provider(self, name: str) -> None:
        dialect = self._endpoints.dialect(name)
        with suppress(IncompleteError):
            endpoint = self._endpoints.of_provider(name)
            self._check_base_url(("providers", name, "base_url"), dialect, endpoint)

    def report_alias(self, alias: Alias) -> AliasReport:
        return AliasReport(
            name=alias.name,
            rows=tuple(
                self._report_row(deployment, share)
                for deployment, share in zip(
                    alias.deployments, shares(alias.deployments), strict=True
                )
            ),
            fallbacks=alias.fallbacks,
        )

    def _report_row(self, deployment: Deployment, share: float) -> RowReport:
        own = self._notation.of_alias(deployment)
        owner = find_owner(self._notation, deployment)
        prompt = deployment.prompt
        parameters = deployment.parameters
        return RowReport(
            row=deployment.row,
            share=share,
            prompt=PromptReport(
                store=deployment.store or self._default_store,
                id=prompt.id if prompt is not None else None,
                version=prompt.version if prompt is not None else None,
                environment=prompt.environment if prompt is not None else None,
            ),
            provider=own.provider,
            model=own.model,
            prefer_template_model=deployment.prefer_template_model,
            parameters=tuple(
                name for name in (*parameters.names(), *parameters.extra) if name != "extra"
            ),
            key=self._report_key(deployment, owner) if owner else None,
            terms=deployment.terms,
            differs=tuple(self._list_differences(deployment, own.model, owner)),
        )

    def _report_key(self, deployment: Deployment, owner: str) -> KeyReport | None:
        if owner == ECHO:
            return None
        if owner not in self._endpoints.names:
            self._tell(deployment, f"expected a provider that is known, got {owner!r}")
            return None
        try:
            endpoint = self._endpoint(deployment, owner)
        except IncompleteError as error:
            own = "api_base" if error.setting == "base_url" else error.setting
            self._tell(deployment, f"expected {own}, or {error.needs}")
            return None
        return KeyReport(
            provider=owner,
            host=urlsplit(endpoint.base_url).netloc.rpartition("@")[2],
            source=endpoint.key_hint,
            is_there=bool(endpoint.find_key()),
            otherwise=_otherwise(endpoint),
        )

    def _endpoint(self, deployment: Deployment, owner: str) -> Endpoint:
        params = self._loaded.settings.model_list[deployment.row].litellm_params
        own = self._endpoints.of_row(owner, deployment.row, params)
        if own is None:
            return self._endpoints.of_provider(owner)
        if params.api_base is not None:
            place = ("model_list", deployment.row, "litellm_params", "api_base")
            self._check_base_url(place, self._endpoints.dialect(owner), own)
        return own

    def _check_base_url(self, place: Place, dialect: str, endpoint: Endpoint) -> None:
        if doubled := find_doubled(DIALECTS[dialect], endpoint):
            problem = f"ends in {doubled}, which each request adds to it: it is there twice"
            self.doubts.append(self._loaded.source.at(place, problem))

    def _list_differences(self, deployment: Deployment, model: str, owner: str) -> Iterator[str]:
        params = self._loaded.settings.model_list[deployment.row].litellm_params
        if model and not deployment.prefer_template_model:
            if deployment.prompt is not None:
                yield (
                    "LiteLLM takes the template's model, if it names one;"
                    " so does prefer_template_model: true"
                )
        elif params.api_key is not None:
            yield f"the key goes to {owner} alone; LiteLLM sends it to the template's provider"
        longest_s = self._loaded.settings.server.default_deadline_s
        if (deployment.terms.timeout_s or 0) > longest_s:
            yield (
                f"a call that brings no deadline ends after {longest_s:g} s, which is"
                " server.default_deadline_s"
            )
        if params.api_base is not None and params.api_key is None:
            yield "no other key goes to the row's api_base; LiteLLM sends it the provider's"
        if params.prompt_version is not None:
            yield "prompt_version is honoured; LiteLLM passes over it"
        if params.prompt_variables:
            yield (
                "prompt_variables fill in what the call leaves out; LiteLLM takes none of them for"
                " a call with variables of its own"
            )

    def _tell(self, deployment: Deployment, problem: str) -> None:
        place = ("model_list", deployment.row, "litellm_params")
        self.faults.append(self._loaded.source.at(place, problem))


def _otherwise(endpoint: Endpoint) -> Literal["account", "nothing"] | None:
    if endpoint.key_required:
        return None
    return "nothing" if endpoint.signer is None else "account"
