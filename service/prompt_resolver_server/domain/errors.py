"""The failures that callers may see.

    ResolverError
    ├── CallError       the call must change: its ids, variables, parameters or credentials
    ├── TemplateError   the prompt must change: its author has to act
    ├── StoreError      the store has no such prompt, refuses us, or does not answer
    ├── UpstreamError   the provider refuses the call, or does not answer it
    └── ServerError     this server cannot serve the call now, or has a fault

Text and metadata of these errors are written for callers: they name fields, ids and places, and
hold no prompt's text, no variable's value, no key and no text of somebody else's error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Why a call failed: the values of `ErrorReason`, which `error_reason.proto` explains."""

    REQUEST_INVALID = "REQUEST_INVALID"
    PROMPT_ID_INVALID = "PROMPT_ID_INVALID"
    SELECTOR_INVALID = "SELECTOR_INVALID"
    STORE_UNKNOWN = "STORE_UNKNOWN"
    ALIAS_UNKNOWN = "ALIAS_UNKNOWN"
    PROMPT_NOT_FOUND = "PROMPT_NOT_FOUND"
    VERSION_NOT_FOUND = "VERSION_NOT_FOUND"
    VARIABLES_INVALID = "VARIABLES_INVALID"
    TEMPLATE_INVALID = "TEMPLATE_INVALID"
    TEMPLATE_FORBIDDEN = "TEMPLATE_FORBIDDEN"
    TEMPLATE_BUDGET = "TEMPLATE_BUDGET"
    STORE_AUTH = "STORE_AUTH"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    MODEL_MISSING = "MODEL_MISSING"
    MESSAGES_MISSING = "MESSAGES_MISSING"
    PARAMETER_UNSUPPORTED = "PARAMETER_UNSUPPORTED"
    PROVIDER_UNKNOWN = "PROVIDER_UNKNOWN"
    PROVIDER_KEY_MISSING = "PROVIDER_KEY_MISSING"
    UPSTREAM_AUTH = "UPSTREAM_AUTH"
    UPSTREAM_AUTH_CALLER_KEY = "UPSTREAM_AUTH_CALLER_KEY"
    UPSTREAM_REJECTED = "UPSTREAM_REJECTED"
    CONTEXT_LENGTH = "CONTEXT_LENGTH"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    CONTENT_BLOCKED = "CONTENT_BLOCKED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"
    UPSTREAM_QUOTA = "UPSTREAM_QUOTA"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    UPSTREAM_OVERLOADED = "UPSTREAM_OVERLOADED"
    UPSTREAM_TLS = "UPSTREAM_TLS"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_PROTOCOL = "UPSTREAM_PROTOCOL"
    UPSTREAM_TRUNCATED = "UPSTREAM_TRUNCATED"
    DEADLINE = "DEADLINE"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    CALLER_TOKEN_MISSING = "CALLER_TOKEN_MISSING"
    CALLER_TOKEN_INVALID = "CALLER_TOKEN_INVALID"
    CALLER_FORBIDDEN = "CALLER_FORBIDDEN"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    INTERNAL = "INTERNAL"


class Blame(StrEnum):
    """Who has to act, for the reasons whose status depends on it."""

    OPERATOR = "operator"
    """The configuration or the prompt is at fault."""
    CALLER = "caller"
    """What the caller named or sent is at fault."""
    CALLER_DENIED = "caller_denied"
    """What the caller sent is known, and not allowed to do this."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request, by its path in the contract, and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that was looked for in vain: its kind, such as `prompt`, and its name."""

    kind: str
    name: str


class ResolverError(Exception):
    """A failure that a caller may see, text and all."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
        resource: Resource | None = None,
        retry_after_s: float | None = None,
        blame: Blame = Blame.OPERATOR,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = violations
        self.resource = resource
        self.retry_after_s = retry_after_s
        self.blame = blame

    @property
    def was_for_nothing(self) -> bool:
        """Whether a model may have worked on the call in vain, or it was tried again already.

        Each further try would be as many.
        """
        told = self.metadata
        may_have_worked = told.get("chunks", "0") != "0" or told.get("problem") == "closed"
        return may_have_worked or told.get("attempts", "1") not in ("0", "1")

    def again(self, *, retry_after_s: float | None = None) -> Self:
        """Return an equal error, to be raised once more: a raised one remembers where it was.

        `retry_after_s` is the time that it tells, if that is known better by now.
        """
        return type(self)(
            self.reason,
            self.message,
            metadata=self.metadata,
            violations=self.violations,
            resource=self.resource,
            retry_after_s=self.retry_after_s if retry_after_s is None else retry_after_s,
            blame=self.blame,
        )


class CallError(ResolverError):
    """The call cannot succeed as it is; the caller has to change it."""


class TemplateError(ResolverError):
    """The prompt cannot be served as it is; its author has to change it."""


class StoreError(ResolverError):
    """The store has no such prompt, refuses us, or does not answer."""


class UpstreamError(ResolverError):
    """The provider refuses the call or does not answer it as it should."""


class ServerError(ResolverError):
    """This server cannot serve the call, for a cause of its own."""


def invalid_request(field: str, expected: str) -> CallError:
    """Return the error for one malformed field of a request: its path, and what was expected."""
    return CallError(
        Reason.REQUEST_INVALID,
        f"{field}: {expected}",
        violations=(Violation(field, expected),),
    )


def unsupported(field: str, expected: str) -> CallError:
    """Return the error for one well-formed field that cannot be served: its path, and what can."""
    return CallError(
        Reason.PARAMETER_UNSUPPORTED,
        f"{field}: {expected}",
        violations=(Violation(field, expected),),
    )
