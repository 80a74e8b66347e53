"""Errors in the form of OpenAI's API.

`code` is OpenAI's own where it has one, else our reason in lower case; `reason`, `metadata` and
`violations` tell what the contract's error details tell.
"""

from collections.abc import Mapping

from ...domain.errors import Reason, ResolverError
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ..status import status_of

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


CHAT_FIELDS: Mapping[str, str] = {
    "prompt.id": "prompt_id",
    "prompt.version": "prompt_version",
    "prompt.environment": "prompt_environment",
    "variables": "prompt_variables",
    "alias": "model",
}
"""What a field of the contract is called in a request of the chat API."""

_PARAMS: Mapping[Reason, str] = {
    Reason.PROMPT_ID_INVALID: "prompt.id",
    Reason.PROMPT_NOT_FOUND: "prompt.id",
    Reason.VERSION_NOT_FOUND: "prompt.version",
    Reason.ALIAS_UNKNOWN: "alias",
    Reason.MODEL_NOT_FOUND: "alias",
    Reason.MODEL_MISSING: "alias",
}
"""The field that an error is about which names none."""


class OpenAIErrors:
    """An `ErrorForm`. `fields` has what a request calls the contract's fields, if otherwise."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        self._fields = fields or {}

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
            "message": self._name(error.message),
            "type": _TYPES.get(status, default),
            "param": self._param(error),
            "code": _CODES.get(error.reason, error.reason.lower()),
            "reason": str(error.reason),
            "metadata": dict(error.metadata),
        }
        if error.violations:
            wire["violations"] = [
                {"field": self._name(each.field), "description": each.description}
                for each in error.violations
            ]
        return wire

    def _param(self, error: ResolverError) -> str | None:
        if error.violations:
            return self._name(error.violations[0].field)
        field = _PARAMS.get(error.reason)
        return None if field is None else self._name(field)

    def _name(self, text: str) -> str:
        """Return a field, or a text that begins with one, by the name that the request has."""
        for field, name in self._fields.items():
            if text.startswith(field) and text[len(field) : len(field) + 1] in (".", ":", ""):
                return name + text[len(field) :]
        return text.removeprefix("parameters.")
