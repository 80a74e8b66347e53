"""Access tokens of Google Cloud, which let requests in at Vertex AI."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from ...domain.errors import CallError, Reason
from ...domain.json_codec import decode_json
from ...settings.accounts import AccountSettings
from ...settings.secrets import FileSecret, Secret
from ..dialect import InBandError
from ..transport.transport import HttpRequest, TransportError
from ..wire.missing_extra import missing_extra

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_S = 10.0
"""How long a token's endpoint may be silent. Threads cannot be cancelled."""

_Failure: TypeAlias = Callable[[], Exception]
"""What makes the error of a token that cannot be got: each call raises one of its own."""


class GoogleSigner:
    """A `Signer` that puts access tokens on requests.

    Its credentials are the account's, read again when their file changes, or what Google's own
    library finds.
    """

    def __init__(self, account: AccountSettings) -> None:
        self._secret = _at_its_path(account.vertex_credentials)
        self._tokens = _Tokens(self._reveal())

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """Return the request with a token; see `Signer.sign`.

        Getting one may take as long as a connection may.
        """
        text = self._reveal()
        if text != self._tokens.text:
            self._tokens = _Tokens(text)
        credentials = await self._tokens.renewed(request.timeouts.connect_s)
        headers = dict(request.headers)
        credentials.apply(headers)
        return replace(request, headers=headers)

    def _reveal(self) -> str | None:
        """Return the credentials as they are now, empty where they are missing."""
        return None if self._secret is None else self._secret.reveal() or ""


class _Tokens:
    """The tokens of credentials: of a text, or of those that Google's own library finds.

    A token is renewed some minutes before it expires, beside the calls that still use it. However
    many calls need a new one, it is asked for once, and none of them ends that by leaving.
    """

    def __init__(self, text: str | None) -> None:
        self.text = text
        self._credentials: Credentials | None = None
        self._renewal: asyncio.Task[_Failure | None] | None = None

    async def renewed(self, within_s: float) -> "Credentials":
        """Return the credentials with a token that is good for now; see `Signer.sign`."""
        held = self._credentials
        state = held.token_state.name if held is not None else "INVALID"
        if state != "FRESH" and self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        if state == "INVALID" and self._renewal is not None:
            try:
                async with asyncio.timeout(within_s):
                    failure = await asyncio.shield(self._renewal)
            except TimeoutError:
                raise TransportError("timeout", phase="connect") from None
            if failure is not None:
                raise failure()
            held = self._credentials
        assert held is not None
        return held

    async def _renew(self) -> _Failure | None:
        try:
            told = await asyncio.to_thread(_renew, self._credentials, self.text)
        finally:
            self._renewal = None
        if callable(told):
            return told
        self._credentials = told
        return None


def _renew(credentials: "Credentials | None", text: str | None) -> "Credentials | _Failure":
    """Return the credentials with a new token. Blocks."""
    try:
        from google.auth.exceptions import (  # noqa: PLC0415
            DefaultCredentialsError,
            GoogleAuthError,
            RefreshError,
        )
        from google.auth.transport.requests import Request  # noqa: PLC0415
    except ImportError:
        return partial(missing_extra, "vertex")
    try:
        try:
            credentials = credentials or _load(text)
        except OSError:
            # Of a file that cannot be read.
            return _no_credentials
        credentials.refresh(partial(Request(), timeout=_TIMEOUT_S))
    except (DefaultCredentialsError, TypeError, ValueError):
        return _no_credentials
    except RefreshError as error:
        if not error.retryable:
            return partial(InBandError, Reason.UPSTREAM_AUTH)
        return partial(TransportError, "unreachable")
    except (GoogleAuthError, OSError):
        return partial(TransportError, "unreachable")
    return credentials


def _load(text: str | None) -> "Credentials":
    """Return the credentials in a text. Raises `ValueError`, and `GoogleAuthError`s."""
    import google.auth  # noqa: PLC0415
    from google.auth import identity_pool  # noqa: PLC0415
    from google.oauth2 import credentials, service_account  # noqa: PLC0415

    loaded: Credentials
    if text is None:
        loaded, _ = google.auth.default(scopes=_SCOPES)
        return loaded
    match decode_json(text.encode()):
        case {"type": "service_account"} as info:
            loaded = service_account.Credentials.from_service_account_info(info, scopes=_SCOPES)
        case {"type": "authorized_user"} as info:
            loaded = credentials.Credentials.from_authorized_user_info(info)
        case {"type": "external_account"} as info:
            loaded = identity_pool.Credentials.from_info(info, scopes=_SCOPES)
        case _:
            raise ValueError("expected credentials of a known type")
    return loaded


def _at_its_path(secret: Secret | None) -> Secret | None:
    """Return credentials that are given as a path, as LiteLLM does it, as a file's content."""
    text = secret.reveal() if secret is not None else None
    if text is None or text.lstrip().startswith("{"):
        return secret
    return FileSecret(Path(text))


def _no_credentials() -> CallError:
    return CallError(
        Reason.PROVIDER_KEY_MISSING,
        "vertex_credentials: expected the JSON of a service account, of an authorized user or of a "
        "workload's identity; where it is unset, what GOOGLE_APPLICATION_CREDENTIALS names or the "
        "machine's own service account",
    )
