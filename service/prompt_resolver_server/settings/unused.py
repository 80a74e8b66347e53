"""Which settings do nothing here, so that nobody relies on them."""

import re
from collections.abc import Collection, Iterator

from .faults import find_close
from .litellm import AliasParams, merge_fallbacks
from .model import Settings
from .server import ServerSettings
from .variables import PREFIX

FOREIGN_BLOCKS = (
    *("assistant_settings", "callback_settings", "credential_list", "files_settings"),
    *("finetune_settings", "guardrails", "include", "mcp_servers", "prompts", "search_tools"),
    *("vector_store_registry",),
)
"""LiteLLM's blocks that have no meaning here at all."""

_NOT_PARAMETERS = frozenset(
    {
        *("additional_drop_params", "allowed_openai_params", "budget_duration", "cooldown_time"),
        *("cache_control_injection_points", "guardrails", "ignore_prompt_manager_model"),
        *("ignore_prompt_manager_optional_params", "max_budget", "max_parallel_requests"),
        *("merge_reasoning_content_in_choices", "mock_response", "region_name", "rpm", "tags"),
        *("tpm", "use_in_pass_through", "use_litellm_proxy"),
    }
)
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
# What LiteLLM calls the way in which rows take turns here.
_OUR_STRATEGY = ("routing_strategy", "simple-shuffle")
_OUR_VARIABLES = (
    *(key.upper() for key in ServerSettings.model_fields),
    "CONFIG",
    # The clients' own, which may well be in the environment of a service.
    *("ADDRESS", "TOKEN", "TOKEN_FILE", "LOG"),
    *("CLIENT_CA_FILE", "CLIENT_CERT_FILE", "CLIENT_KEY_FILE", "CLIENT_SERVER_NAME"),
)
_SERVICE_HOST = "_SERVICE_HOST"
# What Kubernetes has in each container about a Service, after the Service's name.
_OF_SERVICE = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT(_\d+_[A-Z]+(_[A-Z]+)?)?")


def is_parameter(name: str) -> bool:
    """Tell whether a further key of `litellm_params` is a parameter of the model."""
    return name not in _NOT_PARAMETERS and "cost" not in name.split("_")


def list_unused(settings: Settings) -> Iterator[str]:
    """Name the keys that are set and do nothing."""
    for index, row in enumerate(settings.model_list):
        place = f"model_list.{index}"
        if "*" in row.model_name:
            yield f"{place}.model_name: a pattern"
        yield from (f"{place}.{key}" for key in row.model_extra or {})
        yield from (f"{place}.litellm_params.{key}" for key in _unused_params(row.litellm_params))
    yield from (f"general_settings.{key}" for key in settings.general_settings.model_extra or {})
    yield from (f"litellm_settings.{key}" for key in _unused_litellm(settings))
    yield from (f"router_settings.{key}" for key in _unused_router(settings))


def list_unused_variables(names: Collection[str], referred: Collection[str]) -> Iterator[str]:
    """Name the variables that are called as ours are, and are none, nor a Service's of Kubernetes.

    `referred` are those that the file takes for values of its own.
    """
    ours = [name for name in names if name.startswith(PREFIX)]
    services = [name.removesuffix(_SERVICE_HOST) for name in ours if name.endswith(_SERVICE_HOST)]
    for name in ours:
        own = name.removeprefix(PREFIX)
        if own in _OUR_VARIABLES or name in referred or _is_of_service(name, services):
            continue
        close = find_close(own, _OUR_VARIABLES)
        yield f"variable {name}" + (f"; did you mean {PREFIX}{close}?" if close else "")


def _is_of_service(name: str, services: Collection[str]) -> bool:
    return any(
        name.startswith(service) and _OF_SERVICE.fullmatch(name, len(service)) is not None
        for service in services
    )


def _unused_params(params: AliasParams) -> Iterator[str]:
    yield from (name for name in params.model_extra or {} if not is_parameter(name))
    if params.num_retries is not None and params.max_retries is not None:
        yield "max_retries"
    if params.timeout is not None and params.request_timeout is not None:
        yield "request_timeout"


def _unused_litellm(settings: Settings) -> Iterator[str]:
    litellm, router = settings.litellm_settings, settings.router_settings
    yield from litellm.model_extra or {}
    for name in ("num_retries", "default_fallbacks", *_FALLBACKS):
        if getattr(litellm, name) is not None and getattr(router, name) is not None:
            yield name
    if litellm.request_timeout is not None and router.timeout is not None:
        yield "request_timeout"
    if litellm.global_prompt_directory is not None and settings.stores:
        yield "global_prompt_directory"
    yield from _unknown_aliases(settings, "litellm_settings")


def _unused_router(settings: Settings) -> Iterator[str]:
    extra = settings.router_settings.model_extra or {}
    yield from (name for name, value in extra.items() if (name, value) != _OUR_STRATEGY)
    yield from _unknown_aliases(settings, "router_settings")


def _unknown_aliases(settings: Settings, block: str) -> Iterator[str]:
    """Name the fallbacks of what is no alias."""
    known = {"*", *(row.model_name for row in settings.model_list)}
    for name in _FALLBACKS:
        lists = merge_fallbacks(getattr(getattr(settings, block), name))
        yield from (f"{name}: no alias {alias!r}" for alias in lists if alias not in known)
