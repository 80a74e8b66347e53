"""Who is at the other end of a gRPC connection, over real handshakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from prompt_resolver.credentials import read_tls
from prompt_resolver_server.certificates import CertificateFiles, CertificateKeeper, Certificates
from prompt_resolver_server.rpc.credentials import peer_names, server_credentials
from tests.support.certificates import Authority, Pair, connection_options

SPIFFE_ID = "spiffe://mesh.example/ns/shop/sa/backend"


def report(used: Certificates, succeeded: bool) -> None:
    pass


@asynccontextmanager
async def telling_server(authority: Authority, client_ca: Path | None) -> AsyncIterator[str]:
    """Answer every call with its caller's names."""

    async def tell(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return "\n".join(peer_names(context.auth_context())).encode()

    files = authority.write("server", "127.0.0.1")
    paths = CertificateFiles(files.cert_file, files.key_file, client_ca)
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(tell)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test", {"Tell": handler}),)
    )
    credentials = server_credentials(CertificateKeeper(paths, report))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def names_of(authority: Authority, pair: Pair) -> list[str]:
    """Return what a server hears of who shows a pair."""
    tls = read_tls(connection_options(authority, authority.keep("client", pair)))
    assert tls is not None
    async with (
        telling_server(authority, authority.ca_file) as address,
        grpc.aio.secure_channel(address, tls) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test/Tell")
        answer = await call(b"")
    return answer.decode().split("\n")


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
    tls = read_tls(connection_options(authority))
    assert tls is not None
    async with (
        telling_server(authority, None) as address,
        grpc.aio.secure_channel(address, tls) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test/Tell")
        answer = await call(b"")

    assert answer == b""
