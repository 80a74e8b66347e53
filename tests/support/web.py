"""Plain HTTP requests to a door."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL


@dataclass(frozen=True)
class Reply:
    """What a door answered; `json` is whatever JSON its body is."""

    status: int
    headers: CIMultiDictProxy[str]
    json: Any


async def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    json: object = None,
) -> Reply:
    """Send a request whose URL is sent as it is written."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, URL(url, encoded=True), headers=headers, json=json) as response,
    ):
        return Reply(response.status, response.headers, await response.json())
