"""Who may call, and which keys a call brings along: what is read from a call's metadata."""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from ..domain.answers import Credentials
from ..domain.errors import Blame, CallError, Reason, invalid_request
from ..domain.permissions import UNLIMITED, Permissions
from ..domain.values import Value
from ..settings.secrets import Secret

_AUTHORIZATION = "authorization"
_STORE_KEY = "x-prompt-store-key"
_PROVIDER_KEY_PREFIX = "x-provider-key-"
REQUEST_ID = "x-request-id"
_REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")
_TRACE_PARENT = "traceparent"
_NO_CREDENTIALS = Credentials()
_TRACE_PARENT_FORM = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

Metadata = Iterable[tuple[str, str | bytes]]
FindNames: TypeAlias = Callable[[], Sequence[str]]
"""Returns the names in the certificate that a caller has shown. It is asked where that matters."""


class Admit(Protocol):
    """Lets a call in, or not; see `Access`."""

    def __call__(self, metadata: Metadata, find_names: FindNames) -> Credentials:
        """Return who calls, and what it brings."""
        ...


class KnownCaller(Value, frozen=True, kw_only=True):
    """One of those who may call: what it is known by, which is one or both, and what it may use.

    `certificate` is a name in the certificate that it shows.
    """

    shown = ("name",)

    name: str
    token: Secret | None = None
    certificate: str | None = None
    permissions: Permissions = UNLIMITED


def show_no_certificate() -> Sequence[str]:
    """Return the names of a caller that shows none."""
    return ()


class Access:
    """Lets in who is known, or everybody where nobody is: by a token, or by a certificate.

    Where a call brings a token, that alone tells who calls. The master key is nobody's by name, and
    may use everything.
    """

    def __init__(self, *, master_key: Secret | None, callers: Sequence[KnownCaller] = ()) -> None:
        self._tokens: list[tuple[Secret, Credentials]] = []
        self._certificates: dict[str, Credentials] = {}
        self._permissions = {caller.name: caller.permissions for caller in callers}
        for caller in callers:
            known = Credentials(caller=caller.name, permissions=caller.permissions)
            if caller.token is not None:
                self._tokens.append((caller.token, known))
            if caller.certificate is not None:
                self._certificates[caller.certificate] = known
        self._has_master_key = master_key is not None
        if master_key is not None:
            self._tokens.append((master_key, _NO_CREDENTIALS))
        self.is_open = not self._permissions and master_key is None
        """Whether all calls are let in, as nobody is known."""
        if self.is_open or self._has_master_key:
            self._permissions[_NO_CREDENTIALS.caller] = UNLIMITED

    def admit(self, metadata: Metadata, find_names: FindNames = show_no_certificate) -> Credentials:
        """Return who calls, and the keys that the call brings.

        Raises `CallError` for who is not known, and for a key that can be none.
        """
        tokens: list[str] = []
        keys: dict[str, str] = {}
        for name, value in metadata:
            if not isinstance(value, str):
                continue
            if name == _STORE_KEY or name.startswith(_PROVIDER_KEY_PREFIX):
                # Neither of two may be left out: who has added one would choose who pays.
                if name in keys:
                    raise invalid_request(name, "expected one value")
                keys[name] = _check_key(name, value)
            elif name == _AUTHORIZATION:
                tokens.append(value)
        known = _NO_CREDENTIALS if self.is_open else self._identify(tokens, find_names)
        if not keys:
            return known
        store_key = keys.pop(_STORE_KEY, None)
        provider_keys = {name.removeprefix(_PROVIDER_KEY_PREFIX): key for name, key in keys.items()}
        return replace(known, provider_keys=provider_keys, store_key=store_key)

    def admit_operator(
        self, metadata: Metadata, find_names: FindNames = show_no_certificate
    ) -> Credentials:
        """Return what `admit` does, for calls that are not for callers.

        Raises CALLER_FORBIDDEN for a caller where there is a master key, and for one with rules.
        """
        credentials = self.admit(metadata, find_names)
        if credentials.permissions.are_limited:
            raise not_for_callers("the master key, or a caller without rules")
        if self._has_master_key and credentials.caller:
            raise not_for_callers("the master key, got a caller's token or certificate")
        return credentials

    def renew(self, credentials: Credentials) -> Permissions:
        """Return what a caller may use by now who was let in, perhaps by others than this.

        Raises CALLER_FORBIDDEN for one who is no longer known.
        """
        permissions = self._permissions.get(credentials.caller)
        if permissions is None:
            raise not_for_callers("a caller who is still configured")
        return permissions

    def _identify(self, tokens: Sequence[str], find_names: FindNames) -> Credentials:
        if tokens:
            return self._identify_by_token(tokens)
        if self._certificates:
            for name in find_names():
                if (known := self._certificates.get(name)) is not None:
                    return known
        raise CallError(
            Reason.CALLER_TOKEN_MISSING,
            "expected `authorization: Bearer <token>`"
            + (", or a caller's certificate" if self._certificates else ""),
            blame=Blame.CALLER,
        )

    def _identify_by_token(self, tokens: Sequence[str]) -> Credentials:
        scheme, _, token = tokens[0].partition(" ")
        given = token.strip().encode(errors="surrogateescape")
        matching = None
        # All are compared, each in constant time, and whether or not the rest is right.
        for secret, known in self._tokens:
            expected = (secret.reveal() or "").encode()
            if hmac.compare_digest(given, expected) and expected:
                matching = known
        is_bearer = len(tokens) == 1 and scheme.lower() == "bearer"
        if matching is None or not is_bearer:
            raise CallError(
                Reason.CALLER_TOKEN_INVALID,
                "the token is not one of this server's"
                if is_bearer
                else "expected one `authorization: Bearer <token>`",
                blame=Blame.CALLER,
            )
        return matching


def not_for_callers(expected: str) -> CallError:
    """Return the error for a caller who is known, and may not do this."""
    return CallError(Reason.CALLER_FORBIDDEN, f"expected {expected}", blame=Blame.CALLER_DENIED)


def _check_key(name: str, value: str) -> str:
    if not (value and value.isascii() and value.isprintable()):
        raise invalid_request(name, "expected a key in printable ASCII")
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
