"""The HTTP client of stores that are somebody's service.

It fetches small JSON documents and nothing else: no redirect is followed, no cookie is kept, no
body is unpacked, and none is read beyond its cap. Bodies of failures are not read at all: they are
somebody else's texts. Whoever still has the answer to a request may ask whether it has changed.
"""

import asyncio
import importlib
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, cast

from ..domain.errors import Reason, StoreError
from ..retry_after import read_retry_after

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 1024 * 1024
"""How large an answer may be unless its request says otherwise."""

_CONNECT_S = 2.0
_KEEPALIVE_S = 15.0
_MAX_CONNECTIONS = 100
_MAX_RETRY_AFTER_S = 3600.0
_PIECES_AT_ONCE = 100
_SETTLED_S = 2

# What we keep of somebody else's and send back to them.
_VALIDATOR = re.compile(r"[ -~]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequest:
    """A request: the path is below the store's base URL, and percent-encoded.

    `max_bytes` is how large its answer may be.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a service calls the state of things that it answered a request with.

    Whoever has the answer sends it along with the same request, and is told if nothing changed.
    """

    request: WebRequest
    etag: str = ""
    last_modified: str = ""

    def conditions(self) -> Mapping[str, str]:
        """Return the headers that ask for the answer only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """An answer; the body is there where the status is 200, as the validators may be.

    The status is 304 only for a request that was sent with validators.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    validators: Validators | None = None
    retry_after_s: float | None = None
    is_page: bool = False
    """Whether it is a page for people, which no API answers with."""


class WebClient:
    """Talks to the service of one store. `name` is the store's own, for errors.

    What it needs is imported and built when it is first used: a service that never asks this store
    pays nothing for it.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        timeout_s: float,
        tls: ssl.SSLContext,
        find_proxy: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._name = name
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = tls
        self._find_proxy = find_proxy
        self._building = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: WebRequest, *, known: Validators | None = None) -> WebAnswer:
        """Send a request and return the answer, whatever its status.

        `known` are the validators of an answer that is at hand: they are sent if they came with an
        answer to the very same request, key included. How long all of it may take is for the caller
        to say. Raises STORE_UNAVAILABLE where no answer comes, or only a part of one.
        """
        client = self._client or await self._build()
        import httpx  # noqa: PLC0415 - it is here by now

        asked_before = known is not None and known.request == request
        conditions = known.conditions() if known is not None and asked_before else {}
        received = False
        try:
            async with client.stream(
                request.method,
                f"{self.base_url}{request.path}",
                params=request.query or None,
                headers={**request.headers, **conditions},
                content=request.body,
            ) as response:
                received = True
                if response.status_code == httpx.codes.NOT_MODIFIED and not conditions:
                    raise self.garbage("nothing was held that could be unchanged")
                if response.status_code != httpx.codes.OK:
                    wait_s = read_retry_after(
                        response.headers.get("retry-after", ""), longest_s=_MAX_RETRY_AFTER_S
                    )
                    media_type = response.headers.get("content-type", "").lower()
                    return WebAnswer(
                        status=response.status_code,
                        retry_after_s=wait_s,
                        is_page=media_type.startswith("text/html"),
                    )
                return WebAnswer(
                    status=response.status_code,
                    body=await self._read(response, request.max_bytes),
                    validators=_read_validators(request, response.headers),
                )
        except httpx.TimeoutException:
            raise self.unavailable("timeout", "did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if received:
                raise self.garbage("the answer was cut short") from None
            if _is_about_tls(error):
                raise self.unavailable("tls", "could not be reached securely") from None
            if isinstance(error, httpx.ProxyError):
                raise self.unavailable("proxy", "is not let through to by the proxy") from None
            raise self.unavailable("unreachable", "could not be reached") from None

    async def aclose(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def unavailable(
        self, problem: str, told: str, *, retry_after_s: float | None = None, **metadata: str
    ) -> StoreError:
        """Return the error for a store that does not answer as it should."""
        return StoreError(
            Reason.STORE_UNAVAILABLE,
            f"store {self._name!r} {told}",
            metadata={"store": self._name, "problem": problem, **metadata},
            retry_after_s=retry_after_s,
        )

    def garbage(self, told: str) -> StoreError:
        """Return the error for an answer that makes no sense, and tell why, without a value."""
        return self.unavailable("garbage", f"answered what cannot be used: {told}")

    async def _build(self) -> "httpx.AsyncClient":
        async with self._building:
            if self._client is None:
                # It takes a tenth of a second, which other calls would have to wait.
                await asyncio.to_thread(import_client)
                self._client = self._make()
            return self._client

    def _make(self) -> "httpx.AsyncClient":
        import httpx  # noqa: PLC0415 - see `_build`

        try:
            return httpx.AsyncClient(
                # The caller limits the whole; what comes first is noticed sooner.
                timeout=httpx.Timeout(
                    self._timeout_s, connect=min(_CONNECT_S, self._timeout_s), pool=self._timeout_s
                ),
                limits=httpx.Limits(
                    max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEPALIVE_S
                ),
                verify=self._tls,
                proxy=self._find_proxy(self.base_url),
                trust_env=False,
                follow_redirects=False,
                # One caller's session is not another's.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            raise self.unavailable("proxy", "cannot be reached by the configured proxy") from None

    async def _read(self, response: "httpx.Response", max_bytes: int) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self.garbage("expected a body that is not compressed")
        body = bytearray()
        pieces = 0
        async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as stream:
            async for chunk in stream:
                body += chunk
                if len(body) > max_bytes:
                    raise self.unavailable(
                        "too_large", f"answered with more than {max_bytes} bytes"
                    )
                pieces += 1
                if pieces % _PIECES_AT_ONCE == 0:
                    # What has come already is not waited for, and may be in thousands of pieces.
                    await asyncio.sleep(0)
        return bytes(body)


def _read_validators(request: WebRequest, headers: Mapping[str, str]) -> Validators | None:
    """Return what may be sent back with the same request; None if there is nothing usable."""
    etag, last_modified = (
        value if _VALIDATOR.fullmatch(value := headers.get(name, "")) else ""
        for name in ("etag", "last-modified")
    )
    if not etag and not _is_settled(last_modified, headers.get("date", "")):
        return None
    return Validators(request=request, etag=etag, last_modified=last_modified)


def _is_settled(last_modified: str, date: str) -> bool:
    """Tell whether a time of modification names one state alone, by the service's own clock.

    It has whole seconds: what was sent in the same one may have been changed again within it.
    """
    try:
        since = parsedate_to_datetime(date) - parsedate_to_datetime(last_modified)
    except (ValueError, OverflowError, TypeError):
        return False
    return since.total_seconds() >= _SETTLED_S


def import_client() -> None:
    """Import what the first request needs."""
    importlib.import_module("httpx")
    # What it imports once more when it first connects, as long as it does.
    with suppress(ImportError):
        importlib.import_module("httpcore._backends.anyio")
        importlib.import_module("anyio._backends._asyncio")


def _is_about_tls(error: BaseException | None) -> bool:
    """Tell whether a failure was caused by TLS, which httpx does not tell apart."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
