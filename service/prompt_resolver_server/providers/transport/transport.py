"""The way to a provider: one request, one response, closed on every way out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from ...domain.values import Value

# There are providers behind gates that let nobody in who does not say who it is.
USER_AGENT = "prompt-resolver"
CONTENT_TYPE = "application/json"

# Of the smallest events there are, what takes a few milliseconds.
_PORTION_BYTES = 32 * 1024
_ENDING_S = 1.0
_ENDING_BYTES = 64 * 1024

Phase = Literal["connect", "first_byte", "idle"]

TransportFailure = Literal["unreachable", "tls", "timeout", "malformed", "cut", "too_large"]
"""`unreachable`: no response began. `malformed`: what came is no HTTP. `cut`: a response began and
did not end as its own headers say it would. `too_large`: its body is larger than the limit."""

Unreached = Literal["name", "refused", "proxy", "unreachable", "closed"]
"""Why no response began: the host's name has no address, nobody listens there, the proxy cannot be
reached, there is no way to it; or the connection was closed after the request had been sent."""


class Timeouts(Value, frozen=True, kw_only=True):
    """How long to wait for a connection, for a response to begin, and between its parts."""

    connect_s: float
    first_byte_s: float
    idle_s: float


class HttpRequest(Value, frozen=True, kw_only=True):
    """A POST of a JSON body."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeouts: Timeouts


class Gathering(NamedTuple):
    """What a reader that is in no hurry would rather have than each part of a body as it comes.

    It waits for up to this time, unless the body ends, or a part comes with these bytes in it.
    """

    up_to_s: float
    unless: bytes


class TransportError(Exception):
    """Nothing usable came back.

    `phase` tells for a timeout what was waited for, and `why` of what is unreachable why it is.
    """

    def __init__(
        self,
        kind: TransportFailure,
        *,
        phase: Phase | None = None,
        why: Unreached = "unreachable",
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.phase = phase
        self.why = why


class HttpResponse(Protocol):
    """A response whose body is still to come. Reading raises `TransportError`."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, to be asked for by names in lower case; of those that repeat, the first."""
        ...

    async def read_some(self, gathering: Gathering | None = None) -> bytes:
        """Return what has arrived of the body, waiting for something to; empty at its end.

        A reader that is in no hurry may be given more at once.
        """
        ...

    async def read_all(self, limit: int) -> bytes:
        """Return all that is left of the body.

        Raises `TransportError`, also for more than so many bytes.
        """
        ...


class Transport(Protocol):
    """Sends requests. Redirects are not followed, and bodies are taken as they are sent."""

    def post(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request.

        Leaving the context by an exception closes the connection at once, unless the body has
        ended. Leaving it in good order gives the body a moment to end, beside whatever comes next.
        Raises `TransportError`.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Portions:
    """A body of up to `limit` bytes, in portions between which others have their turn.

    What has arrived may be much: a quarter of a MiB, if whoever sends it is fast.
    """

    def __init__(self, response: HttpResponse, limit: int) -> None:
        self._response = response
        self._left = limit
        self._waiting = b""

    async def read_some(self, gathering: Gathering | None = None) -> bytes:
        """Return the next portion, or nothing at the end; see `HttpResponse.read_some`.

        Raises `TransportError`, also for more than the limit.
        """
        if self._waiting:
            await asyncio.sleep(0)
            chunk = self._waiting
        else:
            chunk = await self._response.read_some(gathering)
            self._left -= len(chunk)
            if self._left < 0:
                raise TransportError("too_large")
        self._waiting = chunk[_PORTION_BYTES:]
        return chunk[:_PORTION_BYTES]


async def gather_body(response: HttpResponse, limit: int) -> bytes:
    """Return what is left of a body, read some by some; see `HttpResponse.read_all`."""
    chunks = []
    size = 0
    while chunk := await response.read_some():
        size += len(chunk)
        if size > limit:
            raise TransportError("too_large")
        chunks.append(chunk)
    return b"".join(chunks)


async def see_out(read_some: Callable[[], Awaitable[bytes]]) -> None:
    """Give a body whose reader has had enough a moment to end, for its connection's reuse.

    A stream's last bytes often follow its terminal marker in a packet of their own. Raises what
    `read_some` raises, and `TimeoutError`.
    """
    async with asyncio.timeout(_ENDING_S):
        left = _ENDING_BYTES
        while left > 0 and (chunk := await read_some()):
            left -= len(chunk)
