"""The transport by way of proxies, over aiohttp."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus

import aiohttp
from yarl import URL

from .transport import (
    CONTENT_TYPE,
    USER_AGENT,
    Gathering,
    HttpRequest,
    HttpResponse,
    Phase,
    TransportError,
    Unreached,
    gather_body,
    see_out,
)

_KEEPALIVE_S = 15.0
_LOOK_S = 1.0
_PROXY_REFUSES = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
_MAX_HEADER_BYTES = 64 * 1024
_FAILURES = (aiohttp.ClientError, OSError, ValueError)
_REQUEST_HEADERS = {
    "Accept-Encoding": "identity",
    "Content-Type": CONTENT_TYPE,
    "User-Agent": USER_AGENT,
}


class AiohttpTransport:
    """A `Transport`. Made inside of a running event loop, and used in that loop alone.

    `find_proxy` gives the proxy for a URL, if there is one.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        find_proxy: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._find_proxy = find_proxy
        self._endings: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=tls, keepalive_timeout=_KEEPALIVE_S, enable_cleanup_closed=False
            ),
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed body could be a bomb, and one cut short would read as a whole one.
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            headers=_REQUEST_HEADERS,
        )

    def post(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request; see `Transport.post`."""
        return self._post(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for task in self._endings:
            task.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self._session.close()

    @asynccontextmanager
    async def _post(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        clock = _Clock()
        proxy = self._find_proxy(request.url)
        try:
            async with asyncio.timeout(request.timeouts.first_byte_s):
                response = await self._session.post(
                    URL(request.url, encoded=True),
                    data=request.body,
                    headers=request.headers,
                    proxy=proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=request.timeouts.connect_s),
                )
        except _FAILURES as error:
            raise _translated(error, clock) from error
        if proxy is not None and response.status == _PROXY_REFUSES:
            response.close()
            raise TransportError("unreachable", why="proxy")
        try:
            yield _Response(response, clock, request.timeouts.idle_s)
        except BaseException:
            # The caller is gone, or the answer is no good: the provider is to stop now.
            response.close()
            raise
        if not response.content.at_eof():
            task = asyncio.create_task(_see_out(response))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)


class _Clock:
    """What is being waited for, so that a timeout can tell."""

    phase: Phase = "first_byte"


class _Response:
    """An `HttpResponse`."""

    def __init__(self, response: aiohttp.ClientResponse, clock: _Clock, idle_s: float) -> None:
        self._response = response
        self._clock = clock
        self._idle_s = idle_s

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read_all(self, limit: int) -> bytes:
        return await gather_body(self, limit)

    async def read_some(self, gathering: Gathering | None = None) -> bytes:
        self._clock.phase = "idle"
        content = self._response.content
        try:
            if content.is_eof():
                # All of it has arrived, so there is nothing to wait for.
                return await content.readany()
            return await self._wait(content)
        except _FAILURES as error:
            raise _translated(error, self._clock) from error

    async def _wait(self, content: aiohttp.StreamReader) -> bytes:
        """Wait for what comes next.

        A malformed chunk ends the connection, of which aiohttp tells those alone who begin to read
        thereafter: so who waits begins anew from time to time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._idle_s
        while True:
            until = min(end, loop.time() + _LOOK_S)
            try:
                async with asyncio.timeout_at(until):
                    return await content.readany()
            except TimeoutError:
                if until == end:
                    raise
            except RuntimeError:
                raise TransportError("cut") from None


async def _see_out(response: aiohttp.ClientResponse) -> None:
    try:
        await see_out(response.content.readany)
    except (*_FAILURES, RuntimeError):
        pass
    finally:
        response.close()


def _translated(error: Exception, clock: _Clock) -> TransportError:
    """Return the library's error as ours: the one place that knows them."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return TransportError("tls")
        case aiohttp.ConnectionTimeoutError():
            return TransportError("timeout", phase="connect")
        case TimeoutError():
            return TransportError("timeout", phase=clock.phase)
        case aiohttp.ClientPayloadError():
            return TransportError("cut")
        case aiohttp.ClientHttpProxyError():
            return TransportError("unreachable", why="proxy")
        case aiohttp.ClientConnectionError() | OSError():
            if clock.phase == "idle":
                return TransportError("cut")
            return TransportError("unreachable", why=_why(error))
        case _:
            return TransportError("malformed")


def _why(error: Exception) -> Unreached:
    match error:
        case aiohttp.ClientProxyConnectionError():
            return "proxy"
        case aiohttp.ClientConnectorDNSError():
            return "name"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "refused"
        case aiohttp.ClientConnectorError():
            return "unreachable"
        case _:
            return "closed"
