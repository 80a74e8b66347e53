"""Errors in the form of OpenAI's API.

`code` is OpenAI's own where it has one, else our reason in lower case; `reason`, `metadata` and
`violations` tell what the contract's error details tell.
"""

from collections.abc import Mapping

from ..domain.errors import Reason, ResolverError
from ..domain.json_codec import encode_json
from ..domain.parameters import Json
from .status import status_of

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES: Mapping[Reason, str] = {
    Reason.CONTEXT_LENGTH: "context_length_exceeded",
    Reason.CONTENT_BLOCKED: "content_policy_violation",
    Reason.UPSTREAM_QUOTA: "insufficient_quota",
    Reason.UPSTREAM_RATE_LIMITED: "rate_limit_exceeded",
    Reason.MODEL_NOT_FOUND: "model_not_found",
    Reason.ALIAS_UNKNOWN: "model_not_found",
    Reason.CALLER_TOKEN_MISSING: "invalid_api_key",
    Reason.CALLER_TOKEN_INVALID: "invalid_api_key",
}


class OpenAIErrors:
    """An `ErrorForm`."""

    def status(self, error: ResolverError) -> int:
        """Return the status of an error."""
        return status_of(error)

    def body(self, error: ResolverError) -> bytes:
        """Return an error as a body."""
        return encode_json({"error": self._describe(error)})

    def event(self, error: ResolverError) -> bytes:
        """Return an error as an event, which no `[DONE]` follows."""
        return b"data: " + self.body(error) + b"\n\n"

    def _describe(self, error: ResolverError) -> Json:
        status = status_of(error)
        default = "invalid_request_error" if status < 500 else "server_error"
        wire: dict[str, Json] = {
            "message": error.message,
            "type": _TYPES.get(status, default),
            "param": error.violations[0].field if error.violations else None,
            "code": _CODES.get(error.reason, error.reason.lower()),
            "reason": str(error.reason),
            "metadata": dict(error.metadata),
        }
        if error.violations:
            wire["violations"] = [
                {"field": each.field, "description": each.description} for each in error.violations
            ]
        return wire
