"""Turns LiteLLM's `model_list`, and what else says how its models are called, into aliases."""

from collections.abc import Hashable, Iterator, Mapping

from msgspec.structs import replace

from ..dispatch.notation import Notation
from ..domain.aliases import Alias, Deployment, Fallbacks, Terms
from ..domain.parameters import (
    TYPED_PARAMETERS,
    Json,
    Parameters,
    find_limit,
    kind_of,
    refusal,
)
from ..domain.prompts import PromptRef
from ..providers.provider import Provider
from ..settings import ConfigError, Loaded, Settings
from ..settings.faults import Place
from ..settings.litellm import AliasParams, merge_fallbacks
from ..settings.unused import is_parameter
from ..templates.formats.fields import FieldError, read_parameters
from .providers import ProviderFactory

_MAX_TOKENS = "max_tokens"
_EVERY_ALIAS = "*"
_NO_ALIAS = ""


def build_terms(settings: Settings) -> Terms:
    """Return how providers are called where no row says more."""
    router, litellm = settings.router_settings, settings.litellm_settings
    retries = router.num_retries if router.num_retries is not None else litellm.num_retries
    return Terms(
        retries=retries or 0,
        timeout_s=router.timeout or litellm.request_timeout,
        stream_timeout_s=router.stream_timeout,
        drop_parameters=bool(litellm.drop_params),
    )


def build_aliases(loaded: Loaded, notation: Notation) -> Mapping[str, Alias]:
    """Return the aliases by name, each with all rows of that name. Raises `ConfigError`."""
    terms = build_terms(loaded.settings)
    deployments: dict[str, list[Deployment]] = {}
    faults: list[str] = []
    for index, row in enumerate(loaded.settings.model_list):
        try:
            deployment = _build_deployment(loaded, notation, index, terms)
        except ConfigError as error:
            faults.extend(error.lines)
        else:
            deployments.setdefault(row.model_name, []).append(deployment)
    if faults:
        raise ConfigError(*faults)
    fallbacks = _FallbackSettings(loaded, deployments)
    return {
        name: Alias(name=name, deployments=tuple(rows), fallbacks=fallbacks.of_alias(name))
        for name, rows in deployments.items()
    }


def build_default_fallbacks(loaded: Loaded, aliases: Mapping[str, Alias]) -> Fallbacks:
    """Return the fallbacks of calls that name no alias: those of every alias."""
    return _FallbackSettings(loaded, aliases).of_alias(_NO_ALIAS)


def build_alias_providers(
    loaded: Loaded, notation: Notation, aliases: Mapping[str, Alias], factory: ProviderFactory
) -> Mapping[tuple[int, str], Provider]:
    """Return the providers that rows have keys or addresses of their own for."""
    providers: dict[tuple[int, str], Provider] = {}
    for alias in aliases.values():
        for deployment in alias.deployments:
            params = loaded.settings.model_list[deployment.row].litellm_params
            owner = find_owner(notation, deployment)
            own = factory.make_for_row(owner, deployment.row, params)
            if own is not None:
                providers[deployment.row, owner] = own
    return providers


def identify_rows(
    notation: Notation,
    aliases: Mapping[str, Alias],
    providers: Mapping[str, Provider],
    alias_providers: Mapping[tuple[int, str], Provider],
) -> Mapping[int, Hashable]:
    """Return what each row is to those who limit it: a model with a key at an address.

    A model that its prompt names is that prompt's, and where the caller names that, the row stands
    for itself alone. It is equal for equal rows, of whichever configuration.
    """
    rows: dict[int, Hashable] = {}
    for alias in aliases.values():
        for deployment in alias.deployments:
            owner = find_owner(notation, deployment)
            provider = alias_providers.get((deployment.row, owner)) or providers.get(owner)
            prompt = deployment.prompt
            of_prompt = deployment.row if prompt is None else (deployment.store, prompt)
            model = notation.of_alias(deployment).model or of_prompt
            rows[deployment.row] = (provider.identity if provider is not None else owner, model)
    return rows


def list_unserved(aliases: Mapping[str, Alias], notation: Notation) -> Iterator[tuple[int, str]]:
    """Name the rows, and in each the provider, whose model no provider that is known has."""
    for alias in aliases.values():
        for deployment in alias.deployments:
            owner = find_owner(notation, deployment)
            if owner and not notation.has_provider(owner):
                yield deployment.row, owner


def find_owner(notation: Notation, deployment: Deployment) -> str:
    """Return the provider that a row's key belongs to, empty where the row does not tell."""
    if deployment.provider:
        return notation.provider_name(deployment.provider)
    return notation.of_alias(deployment).provider


def _build_deployment(loaded: Loaded, notation: Notation, index: int, terms: Terms) -> Deployment:
    params = loaded.settings.model_list[index].litellm_params
    store = notation.read(params.model).store
    try:
        parameters = _read_parameters(params)
        prompt = _read_prompt(params, store)
    except FieldError as error:
        place = ("model_list", index, "litellm_params", *error.path)
        raise loaded.fault(place, error.problem) from None
    deployment = Deployment(
        row=index,
        store=store,
        prompt=prompt,
        variables=params.prompt_variables,
        model=params.model,
        provider=params.custom_llm_provider,
        prefer_template_model=params.prefer_template_model,
        parameters=parameters,
        weight=params.weight,
        order=params.order,
        terms=_read_terms(params, terms),
    )
    has_own = params.api_key is not None or params.api_base is not None or params.account
    if has_own and not find_owner(notation, deployment):
        raise loaded.fault(
            ("model_list", index, "litellm_params"),
            "expected custom_llm_provider, to tell whose the key is, as the model does not",
        )
    return deployment


def _read_prompt(params: AliasParams, store: str | None) -> PromptRef | None:
    if params.prompt_label is not None and params.prompt_environment is not None:
        raise FieldError((), "expected prompt_label or prompt_environment, got both")
    if params.prompt_version is not None and params.environment is not None:
        raise FieldError((), "expected prompt_version or prompt_label, got both")
    if params.prompt_id is None:
        if params.prompt_version is not None or params.environment is not None:
            raise FieldError((), "expected a prompt_id beside prompt_version or prompt_label")
        return None
    return PromptRef(
        id=params.prompt_id,
        store=store,
        version=params.prompt_version,
        environment=params.environment,
    )


def _read_terms(params: AliasParams, terms: Terms) -> Terms:
    retries = params.num_retries if params.num_retries is not None else params.max_retries
    return Terms(
        retries=terms.retries if retries is None else retries,
        timeout_s=params.timeout or params.request_timeout or terms.timeout_s,
        stream_timeout_s=params.stream_timeout or terms.stream_timeout_s,
        drop_parameters=(
            terms.drop_parameters if params.drop_params is None else params.drop_params
        ),
    )


def _read_parameters(params: AliasParams) -> Parameters:
    given: dict[str, Json] = {
        name: value
        for name, value in (params.model_extra or {}).items()
        if value is not None and is_parameter(name)
    }
    limit_name = find_limit(given)
    if limit_name != _MAX_TOKENS and _MAX_TOKENS in given:
        raise FieldError((limit_name,), "expected max_tokens in its place, got both")
    typed = {*TYPED_PARAMETERS, limit_name}
    extra = {name: value for name, value in given.items() if name not in typed}
    for name in extra:
        if problem := refusal(name):
            raise FieldError((name,), f"refused, as it {problem}")
    top_k, parallel = given.get("top_k"), given.get("parallel_tool_calls")
    if isinstance(top_k, bool) or not isinstance(top_k, int | None):
        raise FieldError(("top_k",), f"expected a whole number, got {kind_of(top_k)}")
    if top_k is not None and not 1 <= top_k < 2**31:
        raise FieldError(("top_k",), "expected a whole number from 1, of at most 31 bits")
    if not isinstance(parallel, bool | None):
        raise FieldError(
            ("parallel_tool_calls",), f"expected true or false, got {kind_of(parallel)}"
        )
    parameters = read_parameters(given, limit_name=limit_name)
    return replace(parameters, top_k=top_k, parallel_tool_calls=parallel, extra=extra)


class _FallbackSettings:
    """What both blocks say about fallbacks; of each list, the one in `router_settings` counts."""

    def __init__(self, loaded: Loaded, known: Mapping[str, object]) -> None:
        self._loaded = loaded
        self._known = known
        self._default = self._read_default()
        self._general = self._read("fallbacks")
        self._context_window = self._read("context_window_fallbacks")
        self._content_policy = self._read("content_policy_fallbacks")

    def of_alias(self, name: str) -> Fallbacks:
        """Return an alias' fallbacks, which is never one of its own."""

        def find(lists: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
            chosen = lists.get(name, lists.get(_EVERY_ALIAS, ()))
            return tuple(each for each in chosen if each != name)

        general = self._general
        if _EVERY_ALIAS not in general:
            general = {_EVERY_ALIAS: self._default, **general}
        return Fallbacks(
            general=find(general),
            context_window=find(self._context_window),
            content_policy=find(self._content_policy),
        )

    def _read(self, key: str) -> Mapping[str, tuple[str, ...]]:
        block = self._block(key)
        lists = merge_fallbacks(getattr(getattr(self._loaded.settings, block), key))
        for alias, fallbacks in lists.items():
            self._check(fallbacks, (block, key), f"for {alias!r} ")
        return lists

    def _read_default(self) -> tuple[str, ...]:
        block = self._block("default_fallbacks")
        names: tuple[str, ...] = getattr(self._loaded.settings, block).default_fallbacks or ()
        self._check(names, (block, "default_fallbacks"), "")
        return names

    def _block(self, key: str) -> str:
        said = getattr(self._loaded.settings.router_settings, key) is not None
        return "router_settings" if said else "litellm_settings"

    def _check(self, names: tuple[str, ...], place: Place, whose: str) -> None:
        for name in names:
            if name not in self._known:
                raise self._loaded.fault(
                    place, f"expected {whose}the names of aliases, got {name!r}"
                )
