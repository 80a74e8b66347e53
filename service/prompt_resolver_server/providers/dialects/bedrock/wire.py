"""What whole answers and streams have in common in Bedrock's Converse dialect."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ....answers import Finish, FinishReason, Usage
from ....errors import Reason
from ....json_codec import JsonError, JsonReader
from ....parameters import Json
from ...dialect import InBandError, ProtocolError
from ...wire.fields import read_count

_MAX_WORD = 64
"""How much is kept of a provider's own word for the end of an answer."""

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
"""The ends of what is no answer."""

_REASONS_BY_EXCEPTION: Mapping[str, Reason] = {
    "accessdeniedexception": Reason.UPSTREAM_AUTH,
    "internalserverexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelerrorexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelnotreadyexception": Reason.UPSTREAM_UNAVAILABLE,
    "modelstreamerrorexception": Reason.UPSTREAM_UNAVAILABLE,
    "modeltimeoutexception": Reason.UPSTREAM_TIMEOUT,
    "resourcenotfoundexception": Reason.MODEL_NOT_FOUND,
    "serviceunavailableexception": Reason.UPSTREAM_OVERLOADED,
    "throttlingexception": Reason.UPSTREAM_RATE_LIMITED,
    "validationexception": Reason.UPSTREAM_REJECTED,
}

_EXCEPTIONS_BY_STATUS = {
    # The name is in a header, and these statuses say as much; others speak for themselves.
    400: "validationexception",
    424: "modelerrorexception",
    429: "throttlingexception",
    503: "serviceunavailableexception",
}

_REASONS_BY_BEGINNING: Mapping[tuple[Reason, str], Reason] = {
    # These have no name. Should the API change its words, they are what they are in general.
    (Reason.UPSTREAM_REJECTED, "input is too long"): Reason.CONTEXT_LENGTH,
    (Reason.UPSTREAM_REJECTED, "prompt is too long"): Reason.CONTEXT_LENGTH,
    (
        Reason.UPSTREAM_REJECTED,
        "the provided model identifier is invalid",
    ): Reason.MODEL_NOT_FOUND,
    (Reason.UPSTREAM_RATE_LIMITED, "too many tokens per day"): Reason.UPSTREAM_QUOTA,
}
# How a message begins that passes on what the model said.
_PASSED_ON = "the model returned the following errors: "


class _Message(msgspec.Struct):
    """The body of a failure."""

    message: str = ""


class _Router(msgspec.Struct, rename="camel"):
    invoked_model_id: str = ""


class Trace(msgspec.Struct, rename="camel"):
    """How an answer came about: which model a router chose."""

    prompt_router: _Router | None = None


_MESSAGES = JsonReader(_Message)


def raise_exception(name: str, payload: bytes) -> None:
    """Raise what an exception inside of a stream reports."""
    reason = _find_reason(name.lower(), payload)
    if reason is None:
        raise ProtocolError("an exception that is not known in place of an answer")
    raise InBandError(reason)


def classify_error(status: int, body: bytes) -> Reason | None:
    """Return the reason that an error's body gives, if it does."""
    name = _EXCEPTIONS_BY_STATUS.get(status)
    return None if name is None else _find_reason(name, body)


def _find_reason(name: str, payload: bytes) -> Reason | None:
    reason = _REASONS_BY_EXCEPTION.get(name)
    try:
        told = _MESSAGES.read(payload).message.lower()
    except JsonError:
        return reason
    told = told.removeprefix(_PASSED_ON)
    for (general, beginning), closer in _REASONS_BY_BEGINNING.items():
        if reason is general and told.startswith(beginning):
            return closer
    return reason


def check_reason(raw_reason: str) -> None:
    """Raise `ProtocolError` where the model has not made an answer."""
    if raw_reason in _MALFORMED:
        raise ProtocolError("what the model wrote is malformed")


def read_finish(raw_reason: str, usage: Mapping[str, Any] | None, trace: Trace | None) -> Finish:
    """Return how an answer ended. The API names the model only where a router has chosen it."""
    router = trace.prompt_router if trace is not None else None
    return Finish(
        reason=_FINISH_REASONS.get(raw_reason, "other"),
        raw_reason=raw_reason[:_MAX_WORD],
        model=router.invoked_model_id if router is not None else "",
        usage=_read_usage(usage) if usage else None,
    )


def _read_usage(usage: Mapping[str, Json]) -> Usage:
    """Return the counts of an answer, or None where there are none.

    The API counts the tokens of the prompt that it read from its cache, or wrote to it, beside the
    others; we count them among them.
    """
    fresh = read_count(usage, "inputTokens")
    read = read_count(usage, "cacheReadInputTokens")
    written = read_count(usage, "cacheWriteInputTokens")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=read_count(usage, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
