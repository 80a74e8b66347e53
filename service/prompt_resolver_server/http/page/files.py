"""The page's own files, served from memory, and the headers that keep it to itself."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

SAFETY: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer of the page and of its API tells the browser to do without."""


def file_routes() -> Sequence[web.RouteDef]:
    """Return the routes of the files, each read once and now. There is nothing secret in them."""
    return [
        web.get("/" if path.name == "index.html" else f"/page/{path.name}", _handler(path))
        for path in sorted(_FOLDER.iterdir())
    ]


def _handler(path: Path) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = path.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:16]
    headers = {**SAFETY, "Cache-Control": "no-cache", "ETag": f'"{tag}"'}

    async def handler(request: web.Request) -> web.Response:
        if any(each.value == tag for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=body, content_type=_TYPES[path.suffix], charset="utf-8", headers=headers
        )

    return handler
