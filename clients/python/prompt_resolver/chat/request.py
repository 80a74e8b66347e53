"""What is said to `completion`, with LiteLLM's words for prompts and keys, read into a call.

A model with a `/` in its name, and `humanloop` alone, is a model; any other name is an alias of the
service's configuration. Whether a name is configured is for the service to know.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypedDict

from ..requests import COMPLETE_TIMEOUT_S, LONGEST_S, CompleteOptions, Variable
from ..v1 import prompt_resolver_pb2 as pb
from .fields import as_mapping, as_text, read_flag, read_number, read_text, to_struct, unexpected
from .messages import read_messages, read_tool_choice, read_tools
from .parameters import read_parameters

_STORE = "humanloop"
_DEFAULT_PROVIDER = "openai"
# What an answer has no place for, beside the value that asks for nothing.
_NOT_CARRIED: Mapping[str, Sequence[object]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "audio": (),
}
# What only LiteLLM knows, and would reach a provider that does not.
_LITELLMS = frozenset(
    {
        *("additional_drop_params", "allowed_model_region", "allowed_openai_params"),
        *("budget_duration", "cache", "cache_control_injection_points", "caching"),
        *("content_policy_fallbacks", "context_window_fallback_dict", "context_window_fallbacks"),
        *("cooldown_time", "default_fallbacks", "disable_fallbacks", "drop_params"),
        *("enable_json_schema_validation", "fallbacks", "force_timeout", "guardrails"),
        *("max_budget", "max_fallbacks", "max_parallel_requests", "max_retries"),
        *("merge_reasoning_content_in_choices", "mock_response", "mock_timeout"),
        *("model_alias_map", "model_info", "model_list", "no-log", "num_retries", "region_name"),
        *("request_timeout", "retry_policy", "retry_strategy", "routing_strategy", "rpm"),
        *("secret_fields", "stream_timeout", "tags", "tpm", "use_in_pass_through"),
        *("use_litellm_proxy",),
    }
)
# LiteLLM's names for what its callers have logged, beside `metadata`.
_TEXT_LABELS = ("litellm_session_id", "litellm_trace_id", "litellm_call_id")
_LABELS = (*_TEXT_LABELS, "litellm_metadata")
# A caller's own model and parameters win in any case.
_WITHOUT_EFFECT = ("ignore_prompt_manager_model", "ignore_prompt_manager_optional_params")

_PROVIDER = re.compile(r"[a-z0-9_.-]+")

Messages: TypeAlias = Sequence[Mapping[str, object]] | None


class ChatOptions(TypedDict, total=False):
    """What may be said to `completion` beside the model and the messages.

    None is the same as saying nothing. What else is said is a parameter for the provider, unless
    the service refuses it; where types are checked, `extra_body` has a place for such parameters.
    """

    prompt_id: str | None
    """The prompt: a `pr_…` id or a path, by its store's rules."""
    prompt_variables: Mapping[str, Variable] | None
    """The values of the template's variables."""
    prompt_version: str | int | None
    """Exactly this version."""
    prompt_label: str | None
    """The same as `prompt_environment`."""
    prompt_environment: str | None
    """The version that is deployed to this environment."""
    append_messages: bool | None
    """Whether the messages follow the template's; unset: only if those have no user's turn."""
    humanloop_api_key: str | None
    """A key of the caller's own for the store."""
    api_key: str | None
    """A key of the caller's own for the model's provider, and for no other."""
    custom_llm_provider: str | None
    """Whose key `api_key` is, where the model's name does not tell."""
    timeout: float | None
    """How long the call may take, in seconds; 120 unless said."""
    metadata: Mapping[str, object] | None
    """Labels of the call for the service's log."""
    stream_options: Mapping[str, object] | None
    """With `{"include_usage": True}` a stream ends in a chunk that tells the usage."""
    tools: Sequence[Mapping[str, object]] | None
    """Tools that are added to the template's."""
    tool_choice: str | Mapping[str, object] | None
    """`auto`, `none`, `required`, or a function."""
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: str | Sequence[str] | None
    presence_penalty: float | None
    frequency_penalty: float | None
    seed: int | None
    reasoning_effort: str | int | None
    response_format: Mapping[str, object] | None
    top_k: int | None
    parallel_tool_calls: bool | None
    user: str | None
    logit_bias: Mapping[str, float] | None
    extra_body: Mapping[str, object] | None
    """Parameters for the provider that have no name here."""


_READ_HERE = ChatOptions.__annotations__.keys() - {"user", "logit_bias"}


class ChatRequest(NamedTuple):
    """A request: what it asks, how long it may take, and whether a stream should tell the usage."""

    prompt_id: str
    options: CompleteOptions
    timeout_s: float
    with_usage: bool


def read_request(model: object, messages: object, options: Mapping[str, object]) -> ChatRequest:
    """Return what is asked. Raises `TypeError` and `ValueError` with the name of what is wrong."""
    try:
        return _read(model, messages, options)
    except UnicodeEncodeError:
        # Its text is in the error.
        raise ValueError("expected text that is Unicode, got a surrogate") from None


def _read(model: object, messages: object, options: Mapping[str, object]) -> ChatRequest:
    name = None if model is None else as_text(model, "model")
    further = {
        key: value
        for key, value in options.items()
        if value is not None and key not in (*_READ_HERE, *_LABELS, *_WITHOUT_EFFECT)
    }
    for key, harmless in _NOT_CARRIED.items():
        if (value := further.pop(key, None)) is not None and value not in harmless:
            raise ValueError(f"{key}: not carried by an answer")
    if lost := sorted(filter(_is_litellms, further)):
        raise ValueError(f"{lost[0]}: a setting of LiteLLM's that does nothing here")
    asked: CompleteOptions = {
        "messages": read_messages(messages),
        "message_policy": _message_policy(options),
        "parameters": read_parameters(options, further),
        "tools": read_tools(options.get("tools")),
        "labels": _labels(options),
        "timeout_s": _timeout_s(options),
        "credentials": _credentials(name, options),
    }
    if name is not None:
        asked["model" if _is_model(name) else "alias"] = name
    if (choice := read_tool_choice(options.get("tool_choice"))) is not None:
        asked["tool_choice"] = choice
    if (variables := options.get("prompt_variables")) is not None:
        asked["variables"] = to_struct(
            as_mapping(variables, "prompt_variables"), "prompt_variables"
        )
    _select(asked, options)
    usage = as_mapping(options.get("stream_options") or {}, "stream_options")
    return ChatRequest(
        prompt_id=read_text(options, "prompt_id") or "",
        options=asked,
        timeout_s=_timeout_s(options),
        with_usage=bool(read_flag(usage, "include_usage", "stream_options.")),
    )


def _is_model(name: str) -> bool:
    return "/" in name or name == _STORE


def _select(asked: CompleteOptions, options: Mapping[str, object]) -> None:
    """Say which version of the prompt is meant."""
    version = options.get("prompt_version")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    label = read_text(options, "prompt_label")
    environment = read_text(options, "prompt_environment")
    if label and environment and label != environment:
        raise ValueError("prompt_label: expected no other environment than prompt_environment")
    environment = environment or label
    if version is not None and environment:
        raise ValueError("prompt_version: expected a version or an environment, got both")
    if version is not None:
        asked["version"] = as_text(version, "prompt_version")
    if environment:
        asked["environment"] = environment


def _message_policy(options: Mapping[str, object]) -> pb.MessagePolicy.ValueType:
    match read_flag(options, "append_messages"):
        case True:
            return pb.MESSAGE_POLICY_APPEND
        case False:
            return pb.MESSAGE_POLICY_IGNORE
        case None:
            return pb.MESSAGE_POLICY_WITHOUT_USER_TURN


def _timeout_s(options: Mapping[str, object]) -> float:
    timeout_s = read_number(options, "timeout")
    if timeout_s is None:
        return COMPLETE_TIMEOUT_S
    if not 0 < timeout_s < math.inf:
        raise ValueError("timeout: expected a number of seconds above 0")
    return min(LONGEST_S, timeout_s)


def _labels(options: Mapping[str, object]) -> Mapping[str, str]:
    labels = {
        name: _label(value, name)
        for name in _TEXT_LABELS
        if (value := options.get(name)) is not None
    }
    for key in ("litellm_metadata", "metadata"):
        given = as_mapping(options.get(key) or {}, key)
        labels |= {name: _label(value, f"{key}.{name}") for name, value in given.items()}
    return labels


def _is_litellms(name: str) -> bool:
    return name in _LITELLMS or name.startswith("litellm_") or "cost" in name.split("_")


def _label(value: object, path: str) -> str:
    """Return text as it is, and whatever else LiteLLM's callers put there as JSON."""
    try:
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise unexpected(path, "what JSON can say", value) from None


def _credentials(model: str | None, options: Mapping[str, object]) -> Mapping[str, str]:
    credentials = {}
    if store_key := _key(options, "humanloop_api_key"):
        credentials["x-prompt-store-key"] = store_key
    named = read_text(options, "custom_llm_provider")
    if api_key := _key(options, "api_key"):
        provider = (named or _provider(model)).lower()
        if not _PROVIDER.fullmatch(provider):
            raise ValueError("custom_llm_provider: expected the name of a provider")
        credentials[f"x-provider-key-{provider}"] = api_key
    elif named:
        raise ValueError("custom_llm_provider: expected together with api_key alone")
    return credentials


def _key(options: Mapping[str, object], name: str) -> str:
    """Return a key, empty where there is none. gRPC's own errors would have it in them."""
    key = options.get(name)
    if not isinstance(key, str | None):
        raise unexpected(name, "text", key)
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError(f"{name}: expected printable ASCII")
    return key or ""


def _provider(model: str | None) -> str:
    """Return the provider that a model's name tells."""
    first, slash, rest = (model or "").partition("/")
    if first == _STORE:
        first, slash, rest = rest.partition("/")
        if not slash and first not in ("", "auto"):
            return _DEFAULT_PROVIDER
    if not (first and slash and rest):
        raise ValueError("api_key: expected custom_llm_provider to tell whose key it is")
    return first
