"""What the page for people asks the service."""

import json
from collections.abc import Mapping

import aiohttp

from tests.support.service import RunningService


async def call(
    service: RunningService,
    path: str,
    *,
    post: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, object]]:
    """Ask the page's API, and return the status and the document."""
    method = "GET" if post is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"{service.admin_url}{path}", json=post, headers=headers
        ) as response,
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        document = json.loads(await response.read())
        assert isinstance(document, dict)
        return response.status, document


async def listed(service: RunningService, query: str = "") -> list[dict[str, object]]:
    """Return the prompts that are listed."""
    status, document = await call(service, f"/api/prompts{query}")
    assert status == 200
    prompts = document["prompts"]
    assert isinstance(prompts, list)
    return prompts


def reason_of(document: Mapping[str, object]) -> object:
    """Return the reason of an answer that is an error."""
    error = document["error"]
    assert isinstance(error, dict)
    return error["reason"]
