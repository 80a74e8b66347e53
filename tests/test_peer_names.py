"""Who is at the other end of a connection, over real handshakes: HTTP and gRPC tell the same."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc
import pytest
from aiohttp import web

from prompt_resolver.credentials import read_tls
from prompt_resolver_server.certificates import CertificateFiles, CertificateKeeper, Certificates
from prompt_resolver_server.http import peers
from prompt_resolver_server.http.listener import HttpListener
from prompt_resolver_server.rpc import credentials
from tests.support.certificates import Authority, Pair, PairFiles, connection_options, trust

SPIFFE_ID = "spiffe://mesh.example/ns/shop/sa/backend"


def report(used: Certificates, succeeded: bool) -> None:
    pass


def keep_certificates(authority: Authority, pair: PairFiles | None) -> CertificateKeeper:
    """Return the certificates of a server that lets in who has a pair, if there is one."""
    files = authority.write("server", "127.0.0.1")
    client_ca = authority.ca_file if pair is not None else None
    return CertificateKeeper(CertificateFiles(files.cert_file, files.key_file, client_ca), report)


Ask = Callable[[Authority, PairFiles | None], Awaitable[list[str]]]
"""Asks a server for the names of whoever asks it, and shows a pair, or no certificate."""


async def ask_over_http(authority: Authority, pair: PairFiles | None) -> list[str]:
    async def tell(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.json_response(peers.peer_names(request.transport.get_extra_info("peercert")))

    listener = HttpListener([web.get("/", tell)])
    port = await listener.start("127.0.0.1", 0, keep_certificates(authority, pair))
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{port}/", ssl=trust(authority, pair)) as response,
        ):
            names: list[str] = await response.json()
            return names
    finally:
        await listener.aclose()


async def ask_over_grpc(authority: Authority, pair: PairFiles | None) -> list[str]:
    async def tell(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return json.dumps(credentials.peer_names(context.auth_context())).encode()

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(tell)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test", {"Tell": handler}),)
    )
    port = server.add_secure_port(
        "127.0.0.1:0", credentials.server_credentials(keep_certificates(authority, pair))
    )
    await server.start()
    tls = read_tls(connection_options(authority, pair))
    assert tls is not None
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", tls) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test/Tell")
            names: list[str] = json.loads(await call(b""))
            return names
    finally:
        await server.stop(None)


@pytest.fixture(params=[ask_over_http, ask_over_grpc], ids=["http", "grpc"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Every protocol that a door speaks."""
    asking: Ask = request.param
    return asking


async def names_of(ask: Ask, authority: Authority, pair: Pair) -> list[str]:
    """Return what a server hears of who shows a pair."""
    return await ask(authority, authority.keep("client", pair))


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
    ask: Ask, tmp_path: Path, names: tuple[str, ...], common_name: str | None, told: list[str]
) -> None:
    """A peer's names are those of its certificate that are hosts', and its common name."""
    authority = Authority(tmp_path)

    pair = authority.issue(*names, common_name=common_name)

    assert await names_of(ask, authority, pair) == told


async def test_identity(ask: Ask, tmp_path: Path) -> None:
    """A workload's URI comes before all else that its certificate says."""
    authority = Authority(tmp_path)
    pair = authority.issue_identity(SPIFFE_ID, "app.example", common_name="the-app")

    assert await names_of(ask, authority, pair) == [SPIFFE_ID, "app.example", "the-app"]


async def test_nobody(ask: Ask, tmp_path: Path) -> None:
    """Who shows no certificate has no name."""
    assert await ask(Authority(tmp_path), None) == []
