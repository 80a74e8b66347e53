"""THE table: which gRPC status each of our errors is, and how it travels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from ..domain.errors import Blame, Reason, ResolverError

DOMAIN = "prompt-resolver"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# Message and details travel as headers, the one percent-encoded and the other in base64, and gRPC
# begins to refuse headers at 8 KiB. What is cut to fit ends in an ellipsis.
_MAX_DETAIL_BYTES = 4096
_MAX_MESSAGE_BYTES = 1024
_MAX_VALUE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Row:
    """The status of one reason, and of the same reason where somebody else has to act.

    `repeatable` is False where UNAVAILABLE or RESOURCE_EXHAUSTED must not be retried automatically.
    """

    code: StatusCode
    by_blame: Mapping[Blame, StatusCode] | None = None
    repeatable: bool = True


# What gRPC leaves as it is in a message.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

_REPEATED = (StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED)

_C = StatusCode

STATUSES: Mapping[Reason, Row] = {
    Reason.REQUEST_INVALID: Row(_C.INVALID_ARGUMENT),
    Reason.PROMPT_ID_INVALID: Row(_C.INVALID_ARGUMENT),
    Reason.SELECTOR_INVALID: Row(_C.INVALID_ARGUMENT),
    Reason.STORE_UNKNOWN: Row(_C.INVALID_ARGUMENT),
    Reason.ALIAS_UNKNOWN: Row(_C.INVALID_ARGUMENT),
    Reason.PROMPT_NOT_FOUND: Row(_C.NOT_FOUND),
    Reason.VERSION_NOT_FOUND: Row(_C.NOT_FOUND),
    Reason.VARIABLES_INVALID: Row(_C.INVALID_ARGUMENT),
    Reason.TEMPLATE_INVALID: Row(_C.FAILED_PRECONDITION),
    Reason.TEMPLATE_FORBIDDEN: Row(_C.FAILED_PRECONDITION),
    Reason.TEMPLATE_BUDGET: Row(_C.FAILED_PRECONDITION),
    Reason.STORE_AUTH: Row(_C.FAILED_PRECONDITION, {Blame.CALLER: _C.UNAUTHENTICATED}),
    Reason.STORE_UNAVAILABLE: Row(_C.UNAVAILABLE),
    Reason.MODEL_MISSING: Row(_C.INVALID_ARGUMENT),
    Reason.MESSAGES_MISSING: Row(_C.INVALID_ARGUMENT),
    Reason.PARAMETER_UNSUPPORTED: Row(_C.INVALID_ARGUMENT),
    Reason.PROVIDER_UNKNOWN: Row(_C.FAILED_PRECONDITION, {Blame.CALLER: _C.INVALID_ARGUMENT}),
    Reason.PROVIDER_KEY_MISSING: Row(_C.FAILED_PRECONDITION),
    Reason.UPSTREAM_AUTH: Row(_C.FAILED_PRECONDITION),
    Reason.UPSTREAM_AUTH_CALLER_KEY: Row(
        _C.UNAUTHENTICATED, {Blame.CALLER_DENIED: _C.PERMISSION_DENIED}
    ),
    Reason.UPSTREAM_REJECTED: Row(_C.INVALID_ARGUMENT),
    Reason.CONTEXT_LENGTH: Row(_C.INVALID_ARGUMENT),
    Reason.REQUEST_TOO_LARGE: Row(_C.INVALID_ARGUMENT),
    Reason.CONTENT_BLOCKED: Row(_C.INVALID_ARGUMENT),
    Reason.MODEL_NOT_FOUND: Row(_C.NOT_FOUND),
    Reason.UPSTREAM_RATE_LIMITED: Row(_C.RESOURCE_EXHAUSTED),
    Reason.UPSTREAM_QUOTA: Row(_C.RESOURCE_EXHAUSTED, repeatable=False),
    Reason.UPSTREAM_UNAVAILABLE: Row(_C.UNAVAILABLE),
    Reason.UPSTREAM_OVERLOADED: Row(_C.UNAVAILABLE),
    Reason.UPSTREAM_TLS: Row(_C.UNAVAILABLE, repeatable=False),
    Reason.UPSTREAM_TIMEOUT: Row(_C.UNAVAILABLE),
    Reason.UPSTREAM_PROTOCOL: Row(_C.INTERNAL),
    Reason.UPSTREAM_TRUNCATED: Row(_C.UNAVAILABLE, repeatable=False),
    Reason.DEADLINE: Row(_C.DEADLINE_EXCEEDED),
    Reason.OVERLOADED: Row(_C.RESOURCE_EXHAUSTED),
    Reason.DRAINING: Row(_C.UNAVAILABLE),
    Reason.CALLER_TOKEN_MISSING: Row(_C.UNAUTHENTICATED),
    Reason.CALLER_TOKEN_INVALID: Row(_C.UNAUTHENTICATED),
    Reason.CALLER_FORBIDDEN: Row(_C.PERMISSION_DENIED),
    Reason.NOT_IMPLEMENTED: Row(_C.UNIMPLEMENTED),
    Reason.INTERNAL: Row(_C.INTERNAL),
}


@dataclass(frozen=True, slots=True)
class Status:
    """An error as gRPC carries it: code, message and trailing metadata."""

    code: StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def to_status(error: ResolverError, *, repeatable: bool) -> Status:
    """Return an error as a status. `repeatable` tells whether gRPC may make the call again.

    So it may any whose provider has turned it away for its rate, at the time that the error names.
    """
    row = STATUSES[error.reason]
    code = (row.by_blame or {}).get(error.blame, row.code)
    message = _shorten(error.message, _MAX_MESSAGE_BYTES)
    details = _details(error, _MAX_DETAIL_BYTES - len(message.encode()))
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    after_s = error.retry_after_s if code in _REPEATED else None
    turned_away = error.reason is Reason.UPSTREAM_RATE_LIMITED and not error.was_for_nothing
    if not (row.repeatable and (repeatable or (turned_away and after_s is not None))):
        trailers.append((PUSHBACK_KEY, "-1"))
    elif after_s is not None:
        trailers.append((PUSHBACK_KEY, str(math.ceil(after_s * 1000))))
    return Status(code, message, tuple(trailers))


def _details(error: ResolverError, budget: int) -> list[any_pb2.Any]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason,
            domain=DOMAIN,
            metadata={
                name: _shorten(value, _MAX_VALUE_BYTES) for name, value in error.metadata.items()
            },
        )
    ]
    if error.retry_after_s is not None:
        wait = duration_pb2.Duration()
        wait.FromMilliseconds(math.ceil(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=wait))
    if error.reason in (Reason.UPSTREAM_RATE_LIMITED, Reason.UPSTREAM_QUOTA):
        details.append(_quota_failure(error))
    if error.resource is not None:
        details.append(
            error_details_pb2.ResourceInfo(
                resource_type=error.resource.kind,
                resource_name=_shorten(error.resource.name, _MAX_VALUE_BYTES),
            )
        )
    if error.violations:
        budget -= sum(detail.ByteSize() for detail in details)
        details.append(_bad_request(error, budget))
    packed = []
    for detail in details:
        wrapper = any_pb2.Any()
        wrapper.Pack(detail)
        packed.append(wrapper)
    return packed


def _bad_request(error: ResolverError, budget: int) -> error_details_pb2.BadRequest:
    """Return as many of the violations as fit; the message tells if there are more."""
    request = error_details_pb2.BadRequest()
    for violation in error.violations:
        added = request.field_violations.add(
            field=_shorten(violation.field, _MAX_VALUE_BYTES),
            description=_shorten(violation.description, _MAX_VALUE_BYTES),
        )
        if request.ByteSize() > budget:
            request.field_violations.remove(added)
            break
    return request


def _quota_failure(error: ResolverError) -> error_details_pb2.QuotaFailure:
    subject = f"provider:{error.metadata.get('provider', '')}"
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=subject, description="the provider's limit is reached"
    )
    return error_details_pb2.QuotaFailure(violations=[violation])


def _shorten(text: str, limit: int) -> str:
    """Cut a text so that it takes at most so many bytes once it is percent-encoded."""
    if len(text) <= limit and len(quote(text, safe=_PLAIN)) <= limit:
        return text
    # Callers send texts of megabytes, each pass over which would hold up other calls.
    text = text[:limit]
    while len(quote(text, safe=_PLAIN)) > limit - len(quote("…")):
        text = text[: len(text) * 9 // 10]
    return text + "…"
