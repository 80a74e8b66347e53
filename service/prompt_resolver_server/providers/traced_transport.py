"""The transport that tells what it sends, for those who debug a prompt."""

import logging
import shlex
from contextlib import AbstractAsyncContextManager

from ..logs import REQUEST_LOG
from .transport import HttpRequest, HttpResponse, Transport

_log = logging.getLogger(REQUEST_LOG)

_MASK = "*****"
# Every other header may be a key, or have one in it.
_SHOWN = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type"})


class TracedTransport:
    """A `Transport` that writes each request to `REQUEST_LOG`, as a command that would repeat it.

    Keys are masked.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def post(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Tell of a request and send it; see `Transport.post`."""
        _log.debug("POST Request Sent from prompt-resolver:\n%s", _as_curl(request))
        return self._inner.post(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _as_curl(request: HttpRequest) -> str:
    headers = {"Content-Type": "application/json", **request.headers}
    shown = [f"{name}: {_mask(name, value)}" for name, value in headers.items()]
    return " \\\n".join(
        [
            "curl -X POST",
            shlex.quote(request.url),
            *(f"-H {shlex.quote(header)}" for header in shown),
            f"-d {shlex.quote(request.body.decode('utf-8', 'replace'))}",
        ]
    )


def _mask(name: str, value: str) -> str:
    if name.lower() in _SHOWN:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {_MASK}" if space and scheme == "Bearer" else _MASK
