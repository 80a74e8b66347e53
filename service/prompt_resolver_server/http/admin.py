"""The admin door: metrics and probes, over HTTP."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


def admin_routes(
    *, registry: CollectorRegistry, is_ready: Callable[[], bool]
) -> Sequence[web.RouteDef]:
    """Return `/metrics`, `/healthz` and `/readyz`.

    `is_ready` tells whether calls can be served; `/healthz` only tells that the process runs.
    """
    rendering = asyncio.Lock()

    async def metrics(request: web.Request) -> web.Response:
        # A page of many series takes long to write: so in a thread, and one at a time.
        async with rendering:
            page = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        ready = is_ready()
        return web.Response(
            text="ready\n" if ready else "not ready\n", status=200 if ready else 503
        )

    return [
        web.get("/metrics", metrics),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]
