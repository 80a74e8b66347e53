"""How the Node client reaches a server, and says who calls, beyond what every client is held to."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest

from tests.support.building import BuiltClient
from tests.support.conformance import SERVICE
from tests.support.driver import Driver, running_driver
from tests.support.names import running_name_server

# Without a proxy, which names would be asked for, and with the resolver that takes a name server.
RUN = (
    "env -u http_proxy -u https_proxy -u grpc_proxy"
    " GRPC_NODE_USE_ALTERNATIVE_RESOLVER=true node dist/conformance.js"
)

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]


@dataclass
class Calls:
    """What a server was called with: by each call, the server's host and the caller's token."""

    hosts: list[str] = field(default_factory=list)
    tokens: list[object] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
        """Note the calls of `Resolve` at a host; yields the port."""

        async def resolve(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self.hosts.append(host)
            self.tokens.append(dict(context.invocation_metadata() or ()).get("authorization"))
            return b""

        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(resolve)
        server = grpc.aio.server()
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Resolve": method})
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)


@pytest.fixture(scope="module")
async def driver(
    require_all: bool, build_client: Callable[[str, str], BuiltClient]
) -> AsyncIterator[Driver]:
    """The driver of the Node client."""
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    client = await asyncio.to_thread(build_client, "node", "npm ci && npm run build")
    with tempfile.NamedTemporaryFile("w") as log:
        async with running_driver(RUN, client.place, log.file) as driver:
            yield driver


async def test_calls_are_spread_over_the_addresses_of_a_name(driver: Driver) -> None:
    """Behind a name each of its servers has its turn."""
    calls = Calls()

    async with (
        calls.serve("127.0.0.1") as port,
        calls.serve("127.0.0.2", port),
        running_name_server("127.0.0.1", "127.0.0.2") as names,
    ):
        await driver.connect(f"dns://{names.address}/prompts.example:{port}")
        while set(calls.hosts) != {"127.0.0.1", "127.0.0.2"}:
            (await driver.do("resolve", prompt="x")).check()
        calls.hosts.clear()
        for _ in range(10):
            (await driver.do("resolve", prompt="x")).check()

    assert sorted(calls.hosts) == ["127.0.0.1"] * 5 + ["127.0.0.2"] * 5
