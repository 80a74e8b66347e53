"""Who is at the other end of an HTTP connection, over real handshakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from prompt_resolver_server.certificates import CertificateFiles, CertificateKeeper, Certificates
from prompt_resolver_server.http.listener import HttpListener
from prompt_resolver_server.http.peers import peer_names
from tests.support.certificates import Authority, Pair, PairFiles, trust

SPIFFE_ID = "spiffe://mesh.example/ns/shop/sa/backend"


def report(used: Certificates, succeeded: bool) -> None:
    pass


@asynccontextmanager
async def telling_server(authority: Authority, client_ca: Path | None) -> AsyncIterator[str]:
    """Answer every request with its caller's names."""

    async def tell(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.json_response(peer_names(request.transport.get_extra_info("peercert")))

    files = authority.write("server", "127.0.0.1")
    paths = CertificateFiles(files.cert_file, files.key_file, client_ca)
    listener = HttpListener([web.get("/", tell)])
    port = await listener.start("127.0.0.1", 0, CertificateKeeper(paths, report))
    yield f"https://127.0.0.1:{port}/"
    await listener.aclose()


async def ask(url: str, authority: Authority, pair: PairFiles | None = None) -> list[str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, ssl=trust(authority, pair)) as response,
    ):
        names: list[str] = await response.json()
        return names


async def names_of(authority: Authority, pair: Pair) -> list[str]:
    """Return what a server hears of who shows a pair."""
    async with telling_server(authority, authority.ca_file) as url:
        return await ask(url, authority, authority.keep("client", pair))


@pytest.mark.parametrize(
    ("names", "common_name", "told"),
    [
        ((), "the-app", ["the-app"]),
        (("app.example", "b.example"), None, ["app.example", "b.example"]),
        (("app.example",), "app.example", ["app.example"]),
        (("app.example", "127.0.0.1"), None, ["app.example"]),
    ],
)
async def test_names(
    tmp_path: Path, names: tuple[str, ...], common_name: str | None, told: list[str]
) -> None:
    """A peer's names are those of its certificate that are hosts', and its common name."""
    authority = Authority(tmp_path)

    assert await names_of(authority, authority.issue(*names, common_name=common_name)) == told


async def test_identity(tmp_path: Path) -> None:
    """A workload's URI comes before all else that its certificate says."""
    authority = Authority(tmp_path)
    pair = authority.issue_identity(SPIFFE_ID, "app.example", common_name="the-app")

    assert await names_of(authority, pair) == [SPIFFE_ID, "app.example", "the-app"]


async def test_nobody(tmp_path: Path) -> None:
    """Who shows no certificate has no name."""
    authority = Authority(tmp_path)
    async with telling_server(authority, None) as url:
        assert await ask(url, authority) == []
