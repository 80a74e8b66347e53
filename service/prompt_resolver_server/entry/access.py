"""Who may call, and which keys a call brings along: what is read from a call's metadata."""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from ..answers import Credentials
from ..errors import Blame, CallError, Reason, invalid_request
from ..settings.secrets import Secret

_AUTHORIZATION = "authorization"
_STORE_KEY = "x-prompt-store-key"
_PROVIDER_KEY_PREFIX = "x-provider-key-"
REQUEST_ID = "x-request-id"
_REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")
_TRACE_PARENT = "traceparent"
_NO_CREDENTIALS = Credentials()
_TRACE_PARENT_FORM = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

NO_CALLERS: Mapping[str, Secret] = MappingProxyType({})

Metadata = Iterable[tuple[str, str | bytes]]
Admit: TypeAlias = Callable[[Metadata], Credentials]
"""Lets a call in, or not; see `Access`."""


class Access:
    """Lets calls in that bring a token of this server's, or all of them where there is none.

    `callers` are the tokens of callers by their names; the master key has none.
    """

    def __init__(
        self, *, master_key: Secret | None, callers: Mapping[str, Secret] = NO_CALLERS
    ) -> None:
        self._tokens = [*callers.items()]
        self._has_master_key = master_key is not None
        if master_key is not None:
            self._tokens.append(("", master_key))

    @property
    def is_open(self) -> bool:
        """Whether all calls are let in, as there are no tokens."""
        return not self._tokens

    def admit(self, metadata: Metadata) -> Credentials:
        """Return who calls, and the keys that the call brings.

        Raises `CallError` for a missing or wrong token, and for a key that can be none.
        """
        tokens: list[str] = []
        provider_keys: dict[str, str] = {}
        store_key = None
        for name, value in metadata:
            if not isinstance(value, str):
                continue
            if name.startswith(_PROVIDER_KEY_PREFIX):
                provider_keys[name.removeprefix(_PROVIDER_KEY_PREFIX)] = _check_key(name, value)
            elif name == _STORE_KEY:
                store_key = _check_key(name, value)
            elif name == _AUTHORIZATION:
                tokens.append(value)
        caller = self._identify(tokens) if self._tokens else ""
        if not provider_keys and store_key is None and not caller:
            return _NO_CREDENTIALS
        return Credentials(caller=caller, provider_keys=provider_keys, store_key=store_key)

    def admit_operator(self, metadata: Metadata) -> Credentials:
        """Return what `admit` does, for calls that are not for callers.

        Raises CALLER_FORBIDDEN for a caller where there is a master key.
        """
        credentials = self.admit(metadata)
        if self._has_master_key and credentials.caller:
            raise CallError(
                Reason.CALLER_FORBIDDEN,
                "expected the master key, got a caller's token",
                blame=Blame.CALLER_DENIED,
            )
        return credentials

    def _identify(self, tokens: list[str]) -> str:
        if not tokens:
            raise CallError(
                Reason.CALLER_TOKEN_MISSING,
                "expected the metadata `authorization: Bearer <token>`",
                blame=Blame.CALLER,
            )
        scheme, _, token = tokens[0].partition(" ")
        given = token.strip().encode(errors="surrogateescape")
        matching = None
        # All are compared, each in constant time, and whether or not the rest is right.
        for name, secret in self._tokens:
            expected = (secret.reveal() or "").encode()
            if hmac.compare_digest(given, expected) and expected:
                matching = name
        if matching is None or len(tokens) > 1 or scheme.lower() != "bearer":
            raise CallError(
                Reason.CALLER_TOKEN_INVALID,
                "the token is not one of this server's",
                blame=Blame.CALLER,
            )
        return matching


def _check_key(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise invalid_request(name, "expected printable ASCII")
    return value


def request_id(metadata: Metadata) -> str:
    """Return the id that the caller gave the call, for its log; empty if it gave none of use."""
    given = _first(metadata, REQUEST_ID)
    return given if _REQUEST_ID_FORM.fullmatch(given) else ""


def make_request_id() -> str:
    """Return an id for a call whose caller gave none."""
    return secrets.token_hex(16)


def trace_id(metadata: Metadata) -> str:
    """Return the id of the trace that the call is part of, for its log; empty for none."""
    match = _TRACE_PARENT_FORM.fullmatch(_first(metadata, _TRACE_PARENT))
    return match[1] if match else ""


def _first(metadata: Metadata, wanted: str) -> str:
    return next(
        (value for name, value in metadata if name == wanted and isinstance(value, str)), ""
    )
