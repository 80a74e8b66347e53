"""The transport that tells what it sends, for those who debug a prompt."""

import logging
import re
import shlex
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from ...logs import REQUEST_LOG
from .transport import HttpRequest, HttpResponse, Transport

_log = logging.getLogger(REQUEST_LOG)

_MASK = "*****"
# Every other header may be a key, or have one in it.
_SHOWN = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type"})
# What JSON may hold as it is, and a terminal would obey: controls, and marks of direction.
_OBEYED = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]")


class TracedTransport:
    """A `Transport` that writes each request to `REQUEST_LOG`, as a command that would repeat it.

    Keys are masked.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def post(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Tell of a request and send it; see `Transport.post`."""
        if _log.isEnabledFor(logging.DEBUG):
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
            shlex.quote(_without_keys(request.url)),
            *(f"-H {shlex.quote(header)}" for header in shown),
            f"-d {shlex.quote(_for_terminals(request.body.decode('utf-8', 'replace')))}",
        ]
    )


def _without_keys(url: str) -> str:
    """Return a URL without a user and a query, which a variable's URL may have, keys and all."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _for_terminals(document: str) -> str:
    """Return the same JSON, with nothing in it that would move what is written around it."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _mask(name: str, value: str) -> str:
    if name.lower() in _SHOWN:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {_MASK}" if space and scheme == "Bearer" else _MASK
