"""Who may call, and which keys a call brings along: what is read from a call's metadata."""

import hmac
from collections.abc import Iterable

from ..answers import Credentials
from ..errors import Blame, CallError, Reason
from ..settings.secrets import Secret

_AUTHORIZATION = "authorization"
_STORE_KEY = "x-prompt-store-key"
_PROVIDER_KEY_PREFIX = "x-provider-key-"
_REQUEST_ID = "x-request-id"
_NO_CREDENTIALS = Credentials()

Metadata = Iterable[tuple[str, str | bytes]]


class Access:
    """Lets calls in that bring the master key, or all of them where there is none."""

    def __init__(self, *, master_key: Secret | None) -> None:
        self._master_key = master_key

    def admit(self, metadata: Metadata) -> Credentials:
        """Return the keys that a call brings. Raises `CallError` for a missing or wrong token."""
        tokens: list[str] = []
        provider_keys: dict[str, str] = {}
        store_key = None
        for name, value in metadata:
            if not isinstance(value, str):
                continue
            if name.startswith(_PROVIDER_KEY_PREFIX):
                provider_keys[name.removeprefix(_PROVIDER_KEY_PREFIX)] = value
            elif name == _STORE_KEY:
                store_key = value
            elif name == _AUTHORIZATION:
                tokens.append(value)
        if self._master_key is not None:
            self._check(tokens, self._master_key)
        if not provider_keys and store_key is None:
            return _NO_CREDENTIALS
        return Credentials(provider_keys=provider_keys, store_key=store_key)

    @staticmethod
    def _check(tokens: list[str], master_key: Secret) -> None:
        if not tokens:
            raise CallError(
                Reason.CALLER_TOKEN_MISSING,
                "expected the metadata `authorization: Bearer <token>`",
                blame=Blame.CALLER,
            )
        scheme, _, token = tokens[0].partition(" ")
        expected = master_key.reveal() or ""
        # Compared in constant time, and whether or not the rest is right.
        matches = hmac.compare_digest(token.strip().encode(), expected.encode())
        if not matches or not expected or len(tokens) > 1 or scheme.lower() != "bearer":
            raise CallError(
                Reason.CALLER_TOKEN_INVALID,
                "the token is not one of this server's",
                blame=Blame.CALLER,
            )


def request_id(metadata: Metadata) -> str:
    """Return the id that the caller gave the call, for its log; empty if it gave none."""
    return next(
        (value for name, value in metadata if name == _REQUEST_ID and isinstance(value, str)), ""
    )
