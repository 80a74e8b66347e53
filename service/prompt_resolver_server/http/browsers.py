"""What browsers tell of the page that makes a request, so that no site's page uses what is here.

A page may have its visitors' browsers send requests to their own machines, and to whatever a name
of its own resolves to. Programs say nothing of the kind.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from ..domain.answers import Credentials
from ..domain.errors import Blame, CallError, Reason
from ..entry.serving import Serving
from .headers import OPENAI_KEYS

Headers = Mapping[str, str]
_TOKENS = ("authorization", *OPENAI_KEYS.names)

Check = Callable[[web.Request, Credentials], None]
"""Raises CALLER_FORBIDDEN for a request that must not be answered to who was let in."""


def keep_pages_out(serving: Serving) -> Check:
    """Return the check of a door that has no pages: no other's may use it, unless it has a token.

    A name that a page has resolve to this machine is, to the browser, the page's own. A certificate
    is its user's, and shown for whatever page asks.
    """

    def check(request: web.Request, credentials: Credentials) -> None:
        headers = request.headers
        has_token = not serving.access.is_open and any(name in headers for name in _TOKENS)
        if comes_from_a_page(headers) and not has_token:
            raise forbidden("no page in a browser is served without the token of a caller")

    return check


def comes_from_a_page(headers: Headers) -> bool:
    """Tell whether a page makes this request, rather than a program or a browser's user."""
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none"


def comes_from_elsewhere(headers: Headers) -> bool:
    """Tell whether a browser says that another site's page makes this request.

    A browser says so by `Sec-Fetch-Site`, or, where it takes the connection for insecure, by
    `Origin` alone.
    """
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and _authority(origin) != headers.get("Host", "").lower()


def forbidden(expected: str) -> CallError:
    """Return the error for a request that must not be answered."""
    return CallError(Reason.CALLER_FORBIDDEN, expected, blame=Blame.CALLER)


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
