"""Requests of OpenAI's chat API, with LiteLLM's keys for prompts, read into queries."""

from collections.abc import Mapping

from msgspec.structs import replace

from ...domain.errors import CallError, Reason, Violation, invalid_request, unsupported
from ...domain.json_codec import count_values, encode_json
from ...domain.parameters import Json, Parameters, find_limit, refusal
from ...domain.prompts import MessagePolicy, PromptRef
from ...domain.values import Value
from ...entry.caller import Caller
from ...resolving.resolver import Query, Resolver
from ...settings.unused import is_parameter
from ...templates.formats.fields import FieldError, read_parameters
from ..fields import as_mapping, read_flag, read_text
from .messages import read_messages, read_tool_choice, read_tools

_PARAMETERS = (
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
    *("presence_penalty", "frequency_penalty", "reasoning_effort", "response_format"),
)
# LiteLLM's names for what its callers have logged.
_TEXT_LABELS = ("litellm_session_id", "litellm_trace_id", "litellm_call_id")
_LABELS = (*_TEXT_LABELS, "litellm_metadata")
_READ_HERE = frozenset(
    {
        *_PARAMETERS,
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "top_k", "n"),
        *("stream", "stream_options", "metadata", "timeout"),
        *("prompt_id", "prompt_variables", "prompt_version", "prompt_label"),
        *("prompt_environment", "append_messages"),
        *_LABELS,
        # Asked for by whom they do not concern: what a caller sets wins here in any case.
        *("ignore_prompt_manager_model", "ignore_prompt_manager_optional_params"),
    }
)
# What an answer of this door has no place for, beside the value that asks for nothing.
_NOT_CARRIED: Mapping[str, tuple[Json, ...]] = {
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "audio": (),
}
_MAX_FIELDS = 1_000
# As many as the contract lets into variables.
_MAX_VALUES = 100_000
# What only LiteLLM knows, beside what does nothing in its configuration either.
_LITELLMS = frozenset(
    {
        *("allowed_model_region", "cache", "caching", "content_policy_fallbacks"),
        *("context_window_fallback_dict", "context_window_fallbacks", "default_fallbacks"),
        *("disable_fallbacks", "drop_params", "enable_json_schema_validation", "fallbacks"),
        *("force_timeout", "max_fallbacks", "max_retries", "mock_timeout", "model_alias_map"),
        *("model_info", "model_list", "no-log", "num_retries", "request_timeout", "retry_policy"),
        *("retry_strategy", "routing_strategy", "secret_fields", "stream_timeout"),
    }
)
_KEYS_IN_HEADERS = {
    "api_key": "x-provider-key-<provider>",
    "humanloop_api_key": "x-prompt-store-key",
}


class ChatRequest(Value, frozen=True, kw_only=True):
    """A request: what it asks, and how it wants the answer.

    `name` is the model as the caller named it, `labels` are for the log.
    """

    query: Query
    name: str
    stream: bool
    with_usage: bool
    labels: Mapping[str, str]


def read_request(
    document: Mapping[str, Json],
    resolver: Resolver,
    caller: Caller,
    *,
    now: float,
    latest: float,
) -> ChatRequest:
    """Return what a request asks.

    Its own `timeout` counts from `now`, and ends it at the `latest` at that time. Raises
    `CallError`.
    """
    if len(document) > _MAX_FIELDS:
        raise invalid_request("body", f"expected at most {_MAX_FIELDS} fields")
    _check_values(document)
    _refuse_what_is_not_carried(document)
    name = read_text(document, "model")
    alias, model = None, None
    if name is not None:
        alias, model = resolver.find_model(name, caller.credentials.permissions)
    prompt = _prompt_ref(document)
    if alias is None and not prompt.id:
        raise invalid_request("model", "expected an alias, or a prompt_id beside it")
    variables = _variables(document)
    if variables and alias is not None and not prompt.id and not resolver.has_prompt(alias):
        # A forgotten prompt_id would have the caller's messages answered as they are.
        raise invalid_request("prompt_variables", "expected none, as no prompt is asked for")
    query = Query(
        prompt=prompt,
        deadline=_deadline(document, caller.deadline, now, latest),
        variables=variables,
        model=model,
        messages=read_messages(document.get("messages")),
        message_policy=_message_policy(document),
        parameters=_parameters(document),
        alias=alias,
        tools=read_tools(document.get("tools")),
        tool_choice=read_tool_choice(document.get("tool_choice")),
        credentials=caller.credentials,
        span=caller.span,
    )
    options = document.get("stream_options")
    return ChatRequest(
        query=query,
        name=name or "",
        stream=read_flag(document, "stream") or False,
        with_usage=options is not None
        and bool(read_flag(as_mapping(options, "stream_options"), "include_usage")),
        labels=_labels(document),
    )


def _check_values(document: Mapping[str, Json]) -> None:
    """Raise `CallError` for more values than may be, in variables and all else but messages."""
    left = _MAX_VALUES
    for name, value in document.items():
        if name == "messages":
            continue
        left -= count_values(value, left)
        if left < 0:
            refuse = _bad_variables if name == "prompt_variables" else invalid_request
            raise refuse(name, f"expected at most {_MAX_VALUES} values")


def _refuse_what_is_not_carried(document: Mapping[str, Json]) -> None:
    if document.get("n") not in (None, 1):
        raise unsupported("n", "expected 1, as a call is for one answer")
    for name, harmless in _NOT_CARRIED.items():
        value = document.get(name)
        if value is not None and value not in harmless:
            raise unsupported(name, "not carried by this door")


def _prompt_ref(document: Mapping[str, Json]) -> PromptRef:
    version = document.get("prompt_version")
    if type(version) is int:
        version = str(version)
    if version is not None and (not isinstance(version, str) or not version):
        raise _selector("prompt_version", "expected a version's name or number")
    label = read_text(document, "prompt_label")
    environment = read_text(document, "prompt_environment")
    if label and environment and label != environment:
        raise _selector("prompt_label", "expected no other environment than prompt_environment")
    environment = environment or label
    if version and environment:
        raise _selector("prompt_version", "expected a version or an environment, got both")
    return PromptRef(
        id=read_text(document, "prompt_id") or "", version=version, environment=environment
    )


def _selector(path: str, expected: str) -> CallError:
    return CallError(
        Reason.SELECTOR_INVALID, f"{path}: {expected}", violations=(Violation(path, expected),)
    )


def _variables(document: Mapping[str, Json]) -> Mapping[str, Json]:
    value = document.get("prompt_variables")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad_variables("prompt_variables", "expected an object of variables by name")
    return value


def _bad_variables(path: str, expected: str) -> CallError:
    return CallError(
        Reason.VARIABLES_INVALID, f"{path}: {expected}", violations=(Violation(path, expected),)
    )


def _message_policy(document: Mapping[str, Json]) -> MessagePolicy:
    match read_flag(document, "append_messages"):
        case True:
            return "append"
        case False:
            return "ignore"
        case None:
            return "without_user_turn"


def _parameters(document: Mapping[str, Json]) -> Parameters:
    given: dict[str, Json] = {name: document[name] for name in _PARAMETERS if name in document}
    extra: dict[str, Json] = {
        name: value
        for name, value in document.items()
        if name not in _READ_HERE and name not in _NOT_CARRIED and value is not None
    }
    for name in extra:
        if name in _KEYS_IN_HEADERS:
            raise unsupported(name, f"expected as the header {_KEYS_IN_HEADERS[name]}")
        if name in _LITELLMS or name.startswith("litellm_") or not is_parameter(name):
            raise unsupported(name, "a setting of LiteLLM's that does nothing in a request here")
        if problem := refusal(name):
            raise unsupported(name, f"refused, as it {problem}")
    if extra:
        given["other"] = extra
    try:
        parameters = read_parameters(given, limit_name=find_limit(given))
    except FieldError as error:
        path = ".".join(map(str, error.path)).removeprefix("other.")
        raise unsupported(path, error.problem) from None
    top_k, parallel = document.get("top_k"), read_flag(document, "parallel_tool_calls")
    if top_k is None and parallel is None:
        return parameters
    if isinstance(top_k, bool) or not isinstance(top_k, int | None):
        raise unsupported("top_k", "expected a whole number")
    if top_k is not None and not 1 <= top_k < 2**31:
        raise unsupported("top_k", "expected a whole number from 1, of at most 31 bits")
    return replace(parameters, top_k=top_k, parallel_tool_calls=parallel)


def _deadline(document: Mapping[str, Json], deadline: float, now: float, latest: float) -> float:
    timeout = document.get("timeout")
    if timeout is None:
        return deadline
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise invalid_request("timeout", "expected a number of seconds above 0")
    # First the smaller one: a sum with a number of any size may be none.
    return now + min(latest - now, timeout)


def _labels(document: Mapping[str, Json]) -> Mapping[str, str]:
    found: dict[str, Json] = {}
    for name in (*_LABELS, "metadata"):
        value = document.get(name)
        if value is None:
            continue
        if name in _TEXT_LABELS:
            found[name] = value
        else:
            found |= as_mapping(value, name)
    # Text as it is, and whatever else LiteLLM's callers put there as JSON: it is for the log.
    return {
        name: label if isinstance(label, str) else encode_json(label).decode()
        for name, label in found.items()
    }
