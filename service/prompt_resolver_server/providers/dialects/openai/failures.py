"""Failures in OpenAI's chat dialect."""

from collections.abc import Mapping
from typing import NoReturn

from ....domain.errors import Reason
from ....domain.parameters import Json
from ...wire.failures import find_by_words, find_object, raise_in_band, read_status
from ...wire.fields import read_object

_REASONS_BY_CODE: Mapping[str, Reason] = {
    "context_length_exceeded": Reason.CONTEXT_LENGTH,
    "exceed_context_size_error": Reason.CONTEXT_LENGTH,
    "string_above_max_length": Reason.CONTEXT_LENGTH,
    "content_policy_violation": Reason.CONTENT_BLOCKED,
    "content_filter": Reason.CONTENT_BLOCKED,
    "data_inspection_failed": Reason.CONTENT_BLOCKED,
    "insufficient_quota": Reason.UPSTREAM_QUOTA,
    "billing_hard_limit_reached": Reason.UPSTREAM_QUOTA,
    "model_not_found": Reason.MODEL_NOT_FOUND,
    "DeploymentNotFound": Reason.MODEL_NOT_FOUND,
    "rate_limit_exceeded": Reason.UPSTREAM_RATE_LIMITED,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
    "engine_overloaded": Reason.UPSTREAM_OVERLOADED,
    "server_error": Reason.UPSTREAM_UNAVAILABLE,
    "service_unavailable": Reason.UPSTREAM_UNAVAILABLE,
}

# Another status tells more than words do, which may quote the request, or speak of a rate.
_STATUSES_WITH_WORDS = frozenset({400, 403, 413, 422, 500})

_REASONS_BY_WORDS: Mapping[str, Reason] = {
    # Many servers have no codes for these. Should they change their words, the status still tells
    # that they refuse the request.
    "maximum context length": Reason.CONTEXT_LENGTH,  # vLLM, DeepSeek, OpenRouter, Mistral, …
    "maximum model length": Reason.CONTEXT_LENGTH,  # vLLM, for some requests
    "the model's context length": Reason.CONTEXT_LENGTH,  # SGLang
    "available context size": Reason.CONTEXT_LENGTH,  # llama.cpp
    "exceed context window": Reason.CONTEXT_LENGTH,  # llama-cpp-python
    "context window exceeds": Reason.CONTEXT_LENGTH,  # MiniMax
    "exceeds the context window": Reason.CONTEXT_LENGTH,  # OpenAI
    "greater than the context length": Reason.CONTEXT_LENGTH,  # LM Studio
    "tokens when context the overflows": Reason.CONTEXT_LENGTH,  # LM Studio, older ones
    ">= n_ctx": Reason.CONTEXT_LENGTH,  # LM Studio, newer ones
    "maximum prompt length": Reason.CONTEXT_LENGTH,  # xAI
    "`inputs` tokens + `max_new_tokens` must be": Reason.CONTEXT_LENGTH,  # Together
    "exceeded model token limit": Reason.CONTEXT_LENGTH,  # Moonshot
    "range of input length should be": Reason.CONTEXT_LENGTH,  # Alibaba
    "reduce the length of the messages": Reason.CONTEXT_LENGTH,  # Groq, Cerebras
    "content exists risk": Reason.CONTENT_BLOCKED,  # DeepSeek
    "content violates usage guidelines": Reason.CONTENT_BLOCKED,  # xAI
    "requires moderation": Reason.CONTENT_BLOCKED,  # OpenRouter
    "violating our usage policy": Reason.CONTENT_BLOCKED,  # OpenAI
    "as a result of our safety system": Reason.CONTENT_BLOCKED,  # OpenAI
}


def classify_error(status: int, body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does: in its `error`, or at its top.

    Words count only where the status leaves it open what failed.
    """
    document = find_object(body)
    error = document.get("error") or dict(document)
    if (reason := _find_by_code(error)) is not None or status not in _STATUSES_WITH_WORDS:
        return reason
    return _find_in_words(error)


def raise_error(document: bytes) -> NoReturn:
    """Raise what a JSON object reports that is known to report a failure."""
    value = read_object(document)
    raise_reported(value.get("error") or dict(value))


def raise_reported(error: Json) -> NoReturn:
    """Raise what the `error` of a JSON object reports."""
    code = error.get("code") if isinstance(error, dict) else None
    raise_in_band(_find_by_code(error) or _find_in_words(error), read_status(code))


def _find_by_code(error: Json) -> Reason | None:
    """Return the reason that an error gives by a known code, if it does."""
    codes = [error.get(name) for name in ("code", "type")] if isinstance(error, dict) else []
    known = (_REASONS_BY_CODE.get(code) for code in codes if isinstance(code, str))
    return next((reason for reason in known if reason is not None), None)


def _find_in_words(error: Json) -> Reason | None:
    """Return the reason that an error gives by what it says, if it does."""
    if not isinstance(error, dict):
        return find_by_words(error, _REASONS_BY_WORDS)
    metadata = error.get("metadata")
    # A router passes on what a provider said beside its own words.
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    told = (find_by_words(text, _REASONS_BY_WORDS) for text in (error.get("message"), raw))
    return next((reason for reason in told if reason is not None), None)
