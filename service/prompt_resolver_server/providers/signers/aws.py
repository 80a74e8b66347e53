"""Signatures of AWS, version 4, for models of Bedrock. They are made by botocore, an extra.

What it does is done in threads: it hashes whole bodies, and looks for credentials in files and at
services of the machine.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...domain.errors import CallError, Reason
from ...settings.accounts import CREDENTIALS_BY_SIGNER, AccountSettings
from ..transport.transport import CONTENT_TYPE, HttpRequest, TransportError
from ..wire.missing_extra import missing_extra

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_log = logging.getLogger(__name__)

_SERVICE = "bedrock"
_FRESH_S = 60.0
_USABLE_S = 120.0
"""How long found credentials are used. botocore renews them many minutes before they expire."""


class AwsSigner:
    """A `Signer`: by the account's own keys, or with what AWS' own libraries would find.

    The account's keys are read for each request, so that they can be replaced. What is found is
    renewed by botocore; one search runs at a time, and those who wait for it may leave.
    """

    def __init__(
        self, account: AccountSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._account = account
        # What is configured and not there does not make anybody else's do.
        self._has_own = any(getattr(account, name) for name in CREDENTIALS_BY_SIGNER["aws"])
        self._clock = clock
        self._finder = _Finder()
        self._found: ReadOnlyCredentials | None = None
        self._found_at = 0.0
        self._search: asyncio.Task[ReadOnlyCredentials] | None = None

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """Return the request with a signature; see `Signer.sign`.

        Finding credentials may take as long as a connection may.
        """
        region = self._account.aws_region_name
        if region is None:
            raise _missing("aws_region_name or AWS_REGION")
        if self._has_own:
            access_key, secret_key, token = self._reveal(*CREDENTIALS_BY_SIGNER["aws"])
            if not access_key or not secret_key:
                raise _missing("aws_access_key_id together with aws_secret_access_key")
            keys = (access_key, secret_key, token)
        else:
            found = await self._find(request.timeouts.connect_s)
            keys = (found.access_key or "", found.secret_key or "", found.token)
        return await asyncio.to_thread(_sign, request, keys, region)

    def _reveal(self, *names: str) -> tuple[str | None, ...]:
        secrets = (getattr(self._account, name) for name in names)
        return tuple(None if secret is None else secret.reveal() for secret in secrets)

    async def _find(self, within_s: float) -> "ReadOnlyCredentials":
        """Return credentials that are known, or wait until some are found."""
        age_s = self._clock() - self._found_at
        if self._found is not None and age_s < _FRESH_S:
            return self._found
        if self._search is None:
            self._search = asyncio.create_task(asyncio.to_thread(self._finder.find))
            self._search.add_done_callback(self._note)
        if self._found is not None and age_s < _USABLE_S:
            return self._found
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._search)
        except TimeoutError:
            raise TransportError("timeout", phase="connect") from None
        except CallError as error:
            raise error.again() from None

    def _note(self, search: "asyncio.Task[ReadOnlyCredentials]") -> None:
        self._search = None
        # Looking at the error is what keeps asyncio quiet where nobody has waited for it.
        if not search.cancelled() and search.exception() is None:
            self._found = search.result()
            self._found_at = self._clock()


class _Finder:
    """Looks for credentials as AWS' own libraries do, each of its searches in a thread."""

    def __init__(self) -> None:
        self._credentials: Credentials | None = None

    def find(self) -> "ReadOnlyCredentials":
        """Return credentials, renewed if need be. Raises as `Signer.sign`.

        Its looks at the services of a machine last a few seconds at most, unless the customary
        variables say otherwise.
        """
        try:
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
            from botocore.session import Session  # noqa: PLC0415
        except ImportError:
            raise missing_extra(_SERVICE) from None
        try:
            if self._credentials is None:
                self._credentials = Session().get_credentials()
            if self._credentials is None:
                raise _missing(
                    "AWS_BEARER_TOKEN_BEDROCK, aws_access_key_id and aws_secret_access_key, or"
                    " credentials where AWS' own libraries look for them"
                )
            return self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:
            # The last is for what has expired already. Texts may quote files and answers.
            _log.warning("No credentials of AWS: %s", type(error).__name__)
            raise TransportError("unreachable") from None


def _sign(request: HttpRequest, keys: tuple[str, str, str | None], region: str) -> HttpRequest:
    """Return the request with a signature over its URL, its body and the headers that matter."""
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415
    except ImportError:
        raise missing_extra(_SERVICE) from None
    signed = AWSRequest(
        method="POST",
        url=request.url,
        # The transport adds it. A signature has to cover it.
        headers={**request.headers, "Content-Type": CONTENT_TYPE},
        data=request.body,
    )
    SigV4Auth(Credentials(*keys), _SERVICE, region).add_auth(signed)
    del signed.headers["Content-Type"]
    return replace(request, headers=dict(signed.headers.items()))


def _missing(expected: str) -> CallError:
    return CallError(
        Reason.PROVIDER_KEY_MISSING, f"expected {expected}, to sign what the provider is asked"
    )
