"""The admin door: metrics and probes, over HTTP."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


def admin_routes(
    *, registry: CollectorRegistry, list_obstacles: Callable[[], Sequence[str]]
) -> Sequence[web.RouteDef]:
    """Return `/metrics`, `/healthz` and `/readyz`.

    `list_obstacles` tells what keeps the service from being ready, each in a line; `/healthz` only
    tells that the process runs.
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
        if obstacles := list_obstacles():
            lines = ["not ready", *obstacles, ""]
            return web.Response(text="\n".join(lines), status=503)
        return web.Response(text="ready\n")

    return [
        web.get("/metrics", metrics),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]
