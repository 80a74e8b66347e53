"""HTTP servers: how they are tuned, and where they listen."""

import logging
from collections.abc import Iterable

from aiohttp import web
from aiohttp.http import HttpProcessingError

from ..certificates import CertificateKeeper

_log = logging.getLogger(__name__)

_IDLE_S = 75.0
# What is left after the drain has been cut off, and waits for nothing.
_SHUTDOWN_S = 1.0


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a record is about this service, and not about bytes that are no request."""
    exception = record.exc_info[1] if record.exc_info else None
    return not isinstance(exception, HttpProcessingError)


_log.addFilter(_is_ours)


class HttpListener:
    """One HTTP server with some routes. A handler is cancelled when its client leaves."""

    def __init__(
        self, routes: Iterable[web.RouteDef], *, max_body_bytes: int = 1024 * 1024
    ) -> None:
        app = web.Application(client_max_size=max_body_bytes)
        app.add_routes(routes)
        self._runner = web.AppRunner(
            app,
            logger=_log,
            access_log=None,
            # A small body can become a large one, and no client needs that.
            auto_decompress=False,
            handle_signals=False,
            handler_cancellation=True,
            keepalive_timeout=_IDLE_S,
            shutdown_timeout=_SHUTDOWN_S,
        )
        self._site: web.TCPSite | None = None

    async def start(
        self, host: str, port: int, certificates: CertificateKeeper | None = None
    ) -> int:
        """Listen, over TLS with certificates, and return the port.

        Raises `OSError` where that cannot be.
        """
        await self._runner.setup()
        tls = certificates.context if certificates is not None else None
        self._site = web.TCPSite(self._runner, host, port, ssl_context=tls, reuse_address=True)
        await self._site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening. What is connected stays so."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()

    async def aclose(self) -> None:
        """Stop listening, and end every connection."""
        await self._runner.cleanup()
