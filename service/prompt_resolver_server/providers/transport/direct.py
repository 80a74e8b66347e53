"""The transport without proxies: connections of HTTP/1.1, kept for the next request."""

import asyncio
import math
import re
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import NamedTuple, Self

from aiohappyeyeballs import start_connection
from yarl import URL

from ...runtime.alarms import Alarms
from ...runtime.turns import Turns
from .connection import Connection
from .names import LookUp, Names, look_up
from .transport import (
    CONTENT_TYPE,
    USER_AGENT,
    Gathering,
    HttpRequest,
    TransportError,
    Unreached,
    gather_body,
    see_out,
)

_KEEPALIVE_S = 15.0
_RENEW_S = 60.0
# What a server would close while a request is on its way is not used for one.
_MARGIN_S = 1.0
_NEXT_ADDRESS_S = 0.25
_KEPT_FOR = re.compile(r"\btimeout\s*=\s*(\d{1,9})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class _Target(NamedTuple):
    """A server."""

    host: str
    port: int
    secure: bool


class DirectTransport:
    """A `Transport`. Made inside of a running event loop, and used in that loop alone.

    `renew_s` is the age at which a connection takes no further request: names are looked up for new
    connections alone, and a provider may move. Answers wait for their `turns`.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        look_up: LookUp = look_up,
        renew_s: float = _RENEW_S,
        turns: Turns | None = None,
    ) -> None:
        self._tls = tls
        self._renew_s = renew_s
        self._names = Names(look_up)
        self._loop = asyncio.get_running_loop()
        self._alarms = Alarms(self._loop)
        self._turns = turns or Turns(self._loop)
        self._idle: dict[_Target, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def post(self, request: HttpRequest) -> "_Exchange":
        """Send a request; see `Transport.post`."""
        return _Exchange(self, request)

    async def aclose(self) -> None:
        """Close all connections, those of calls that still run, too; there are no more."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._endings:
            task.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        for connection in self._busy:
            connection.abort()
        self._busy.clear()
        self._idle.clear()
        self._alarms.close()

    async def take(self, target: _Target, connect_s: float) -> Connection:
        """Return a connection that waits, or a new one. Raises `TransportError`."""
        idle = self._idle.get(target)
        while idle:
            connection = idle.pop()
            in_time = connection.kept_until > self._loop.time()
            if in_time and connection.is_reusable and connection.is_quiet():
                break
            connection.abort()
        else:
            connection = await self._connect(target, connect_s)
        if self._closed:
            connection.abort()
            raise TransportError("unreachable")
        self._busy.add(connection)
        return connection

    def give_back(self, target: _Target, connection: Connection, *, in_order: bool) -> None:
        """Keep a connection for its next request, if it can have one."""
        if in_order and not (connection.response.ended or self._closed) and connection.is_open:
            task = self._loop.create_task(self._see_out(target, connection))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)
            return
        self._busy.discard(connection)
        if connection.is_reusable and not self._closed:
            self._keep(target, connection)
        else:
            connection.abort()

    def _keep(self, target: _Target, connection: Connection) -> None:
        now = self._loop.time()
        kept_for_s = _KEEPALIVE_S
        if (told := connection.response.headers.get("keep-alive")) is not None:
            kept_for_s = min(kept_for_s, _kept_for_s(told) - _MARGIN_S)
        until = min(now + kept_for_s, connection.made_at + self._renew_s)
        if until <= now:
            connection.abort()
            return
        connection.kept_until = until
        self._idle.setdefault(target, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_KEEPALIVE_S, self._sweep_out)

    def _sweep_out(self) -> None:
        """Close what has waited for too long."""
        now = self._loop.time()
        for target, idle in list(self._idle.items()):
            left = []
            for connection in idle:
                if connection.kept_until > now and connection.is_reusable:
                    left.append(connection)
                else:
                    connection.abort()
            if left:
                self._idle[target] = left
            else:
                del self._idle[target]
        self._sweep = self._loop.call_later(_KEEPALIVE_S, self._sweep_out) if self._idle else None

    async def _connect(self, target: _Target, connect_s: float) -> Connection:
        try:
            async with asyncio.timeout(connect_s):
                found = await self._names.find(target.host, target.port)
                # An address that does not answer must not keep the next one from being tried.
                sock = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S)
                _, connection = await self._loop.create_connection(
                    lambda: Connection(
                        self._loop, alarms=self._alarms, turns=self._turns, sock=sock
                    ),
                    sock=sock,
                    ssl=self._tls if target.secure else None,
                    # Names in certificates have no dot at their end.
                    server_hostname=target.host.rstrip(".") if target.secure else None,
                )
        except TimeoutError:
            raise TransportError("timeout", phase="connect") from None
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TransportError("tls") from error
        except (OSError, ValueError) as error:
            # The latter is for a name that none can be, or that has no address.
            raise TransportError("unreachable", why=_why(error)) from error
        return connection

    async def _see_out(self, target: _Target, connection: Connection) -> None:
        connection.in_turn = False
        try:
            # It is not waited for any longer than that.
            await see_out(partial(connection.read_some, math.inf))
        except (TransportError, TimeoutError):
            pass
        finally:
            self.give_back(target, connection, in_order=False)


def _why(error: OSError | ValueError) -> Unreached:
    match error:
        case ConnectionRefusedError():
            return "refused"
        case socket.gaierror() | ValueError():
            return "name"
        case _:
            return "unreachable"


class _Exchange:
    """The context of one request, and its `HttpResponse`."""

    def __init__(self, transport: DirectTransport, request: HttpRequest) -> None:
        self._transport = transport
        self._request = request
        self._target, self._head = _prepare(request.url)
        self._connection: Connection | None = None
        self._idle_s = request.timeouts.idle_s
        self.status = 0
        """The status code."""
        self.headers: Mapping[str, str] = {}
        """See `HttpResponse.headers`."""

    async def __aenter__(self) -> Self:
        timeouts = self._request.timeouts
        message = _write(self._head, self._request.headers, self._request.body)
        connection = await self._transport.take(self._target, timeouts.connect_s)
        try:
            response = await connection.exchange(message, timeouts.first_byte_s)
        except BaseException:
            self._transport.give_back(self._target, connection, in_order=False)
            raise
        self._connection = connection
        self.status, self.headers = response.status, response.headers
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._connection is not None
        # The caller is gone, or the answer is no good: the provider is to stop now.
        self._transport.give_back(self._target, self._connection, in_order=kind is None)

    async def read_some(self, gathering: Gathering | None = None) -> bytes:
        """Return what has arrived of the body; see `HttpResponse.read_some`."""
        assert self._connection is not None
        return await self._connection.read_some(self._idle_s, gathering)

    async def read_all(self, limit: int) -> bytes:
        """Return what is left of the body; see `HttpResponse.read_all`."""
        assert self._connection is not None
        response = self._connection.response
        if response.ended and not response.paused and response.size <= limit:
            # As most answers come, with their head.
            return response.take()
        return await gather_body(self, limit)


def _kept_for_s(told: str) -> float:
    """Return how long a server keeps a connection that is not in use, by its own word."""
    found = _KEPT_FOR.search(told)
    return float(found[1]) if found else math.inf


@lru_cache(maxsize=1024)
def _prepare(url: str) -> tuple[_Target, bytes]:
    """Return the server of a URL, and the beginning of a request for it."""
    parts = URL(url, encoded=True)
    if parts.scheme not in ("http", "https") or not parts.raw_host or not parts.port:
        raise TransportError("malformed")
    head = (
        f"POST {parts.raw_path_qs} HTTP/1.1\r\nHost: {parts.host_port_subcomponent}\r\n"
        f"Accept: */*\r\nAccept-Encoding: identity\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"User-Agent: {USER_AGENT}\r\n"
    )
    return _Target(parts.raw_host, parts.port, parts.scheme == "https"), head.encode()


def _write(head: bytes, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = ""
    for name, value in headers.items():
        if _CONTROL.search(value):
            # What follows a line break in a key would be a header of its own.
            raise TransportError("malformed")
        lines += f"{name}: {value}\r\n"
    try:
        encoded = lines.encode()
    except UnicodeEncodeError:
        # A key from the environment may be no text. The error would hold it.
        raise TransportError("malformed") from None
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, encoded, len(body), body)
