"""How the Python clients reach a server, and say who calls."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from prompt_resolver import (
    AsyncPromptResolverClient,
    ConfigurationError,
    PromptResolverClient,
    PromptResolverError,
    ResolveOptions,
    acompletion,
    process,
)
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.certificates import Authority
from tests.support.names import running_name_server
from tests.support.ports import find_port
from tests.support.relay import running_relay
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream
from tests.support.waiting import WaitingProvider

HELLO = {"language": "en", "name": "Ada"}
_CUTS = 20


async def test_a_server_that_is_not_there_yet(tmp_path: Path, prompts: Path) -> None:
    """Calls wait for a server that is being started, whole ones and streams."""
    address = f"unix:{tmp_path}/door.sock"
    config = f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    async with AsyncPromptResolverClient(address) as client:

        async def complete_stream() -> str:
            events = client.complete_stream("greet", variables=HELLO, model="echo/m", timeout_s=30)
            return "".join([event.text_delta async for event in events])

        resolving = asyncio.ensure_future(client.resolve("greet", variables=HELLO, timeout_s=30))
        streaming = asyncio.ensure_future(complete_stream())
        done, _ = await asyncio.wait({resolving, streaming}, timeout=0.3)
        async with running_service(tmp_path, config, {"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
            prompt, said = await resolving, await streaming

    assert not done
    assert prompt.prompt.id == "greet"
    assert said == "Ada"


def test_waiting_has_an_end() -> None:
    """A call waits for a server no longer than it may take."""
    with (
        PromptResolverClient("127.0.0.1:1") as client,
        pytest.raises(PromptResolverError) as caught,
    ):
        client.resolve("x", timeout_s=0.3)

    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")


LATE = "DEADLINE_EXCEEDED: no connection to 127.0.0.1:1 after 0.3 s"


@pytest.mark.parametrize("method", ["resolve", "complete", "complete_stream", "watch"])
async def test_late_without_a_connection(method: str) -> None:
    """A call whose time is up while there is no connection says that, and where to."""
    told = []
    with PromptResolverClient("127.0.0.1:1") as client:
        call = getattr(client, method)
        try:
            await asyncio.to_thread(lambda: _first(call("x", timeout_s=0.3)))
        except PromptResolverError as error:
            told.append(str(error))
    async with AsyncPromptResolverClient("127.0.0.1:1") as other:
        try:
            begun = getattr(other, method)("x", timeout_s=0.3)
            await (anext(begun) if hasattr(begun, "__anext__") else begun)
        except PromptResolverError as error:
            told.append(str(error))

    assert told == [LATE, LATE]


def _first(begun: object) -> object:
    return next(begun) if isinstance(begun, Iterator) else begun


async def test_late_completions_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does `completion`, whole and streamed."""
    monkeypatch.setenv("PROMPT_RESOLVER_ADDRESS", "127.0.0.1:1")
    process._process.close()
    try:
        for stream in (False, True):
            with pytest.raises(PromptResolverError) as caught:
                await acompletion(
                    "echo/m", [{"role": "user", "content": "x"}], stream=stream, timeout=3
                )
            assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
            assert caught.value.message == "no connection to 127.0.0.1:1 after 3 s"
    finally:
        process._process.close()


async def test_late_with_a_connection(service: RunningService, upstream: Upstream) -> None:
    """A call that is late although there is a connection says nothing of that."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer
    with PromptResolverClient(service.address) as client:
        for call in (
            service.client.complete("greet", variables=HELLO, timeout_s=0.5),
            asyncio.to_thread(client.complete, "greet", variables=HELLO, timeout_s=0.5),
        ):
            with pytest.raises(PromptResolverError) as caught:
                await call
            assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
            assert "no connection" not in caught.value.message


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
async def test_a_url_for_an_address(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL is refused when the client is made, wherever it is from, and without what is in it."""
    url = f"{scheme}://user:let-me-in@127.0.0.1:1"
    told = []
    for make in (PromptResolverClient, AsyncPromptResolverClient):
        with pytest.raises(ConfigurationError) as caught:
            make(url)
        told.append(caught.value.message)
    monkeypatch.setenv("PROMPT_RESOLVER_ADDRESS", url)
    with pytest.raises(ConfigurationError) as caught:
        PromptResolverClient()
    told.append(caught.value.message)

    expected = "expected HOST:PORT without http:// or https://"
    assert told == [*[f"address: {expected}"] * 2, f"PROMPT_RESOLVER_ADDRESS: {expected}"]


@pytest.mark.parametrize("key", ["sécret", "sec\nret", "sec\x00ret", 5, None])
async def test_values_that_are_no_headers(service: RunningService, key: str) -> None:
    """What no header can carry is refused with the header's name, and is not told."""
    credentials = {"X-Provider-Key-fake": key}
    with PromptResolverClient(service.address) as client:
        for call in (
            service.client.resolve("greet", variables=HELLO, credentials=credentials),
            anext(service.client.watch("greet", credentials=credentials)),
            asyncio.to_thread(client.resolve, "greet", variables=HELLO, credentials=credentials),
        ):
            with pytest.raises(PromptResolverError) as caught:
                await call
            assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.message == (
                "x-provider-key-fake: expected printable ASCII as the header's value"
            )


@pytest.mark.parametrize("name", ["x a", "", "x:a", "é", "x\n", "x-trace-bin"])
async def test_names_that_are_no_headers(service: RunningService, name: str) -> None:
    """A name that is no header's is refused, and the value is not told."""
    with pytest.raises(PromptResolverError, match="header") as caught:
        await service.client.resolve("greet", variables=HELLO, credentials={name: "let-me-in"})

    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "let-me-in" not in str(caught.value)


async def test_headers_of_bytes(service: RunningService) -> None:
    """A header of bytes is one, as tracing has them."""
    credentials: dict[str, str] = {"grpc-trace-bin": b"\x00\xff"}  # type: ignore[dict-item]
    asked: ResolveOptions = {"variables": HELLO, "credentials": credentials}
    assert await service.client.resolve("greet", **asked)


async def test_tokens_that_are_no_headers(tmp_path: Path) -> None:
    """A token that no header can carry is refused when the client is made, and is not told."""
    file = tmp_path / "token"
    file.write_text("let-me\nin")
    for options in ({"token": "let-me\nin"}, {"token": "lét-me-in"}, {"token_file": file}):
        for make in (PromptResolverClient, AsyncPromptResolverClient):
            with pytest.raises(ConfigurationError, match="token") as caught:
                make("127.0.0.1:1", **options)
            assert "-me" not in caught.value.message


def test_not_waiting() -> None:
    """Whoever would rather not wait is told at once why the server cannot be reached."""
    with PromptResolverClient("127.0.0.1:1", wait_for_ready=False) as client:
        for call in (client.resolve, client.complete):
            with pytest.raises(PromptResolverError, match="Connection refused") as caught:
                call("x")
            assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "")


async def test_another_clients_failures() -> None:
    """A client goes to the server itself, whatever another of its process has found there."""
    address = f"127.0.0.1:{find_port()}"
    async with (
        AsyncPromptResolverClient(address, wait_for_ready=False) as early,
        AsyncPromptResolverClient(address, wait_for_ready=False) as client,
    ):
        # Completions, as gRPC would try `Resolve` again.
        with pytest.raises(PromptResolverError, match="Connection refused"):
            await early.complete("x")
        server = grpc.aio.server()
        server.add_insecure_port(address)
        await server.start()
        try:
            with pytest.raises(PromptResolverError) as caught:
                await client.complete("x")
        finally:
            await server.stop(None)

    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


async def test_idle_connections_that_are_cut(service: RunningService, upstream: Upstream) -> None:
    """What a balancer cuts while nobody calls costs no call, and no answer is asked for twice."""
    async with (
        running_relay(service.address) as relay,
        AsyncPromptResolverClient(relay.address) as client,
    ):
        channel = client.channel
        for number in range(1, _CUTS + 1):
            answer = await client.complete("greet", variables=HELLO)
            assert answer.message.content[0].text == "Hello"
            # It connects anew at once, whether or not there is a call.
            assert relay.connections == number
            relay.cut()
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)

    assert len(upstream.exchanges) == _CUTS


async def test_token_in_a_file(tmp_path: Path) -> None:
    """A token is read from a file again when it changes; while it is gone, the last one stays."""
    file = tmp_path / "token"
    file.write_text("first\n")
    config = f"general_settings: {{master_key: 'file:{file}'}}"
    async with running_service(tmp_path, config) as service:
        address, variables = service.address, {"text": "x"}
        async with AsyncPromptResolverClient(address, token_file=file) as client:
            with PromptResolverClient(address, token_file=file) as waiting:

                async def ask() -> None:
                    await client.resolve("extract/invoice", variables=variables)
                    call = waiting.resolve
                    await asyncio.to_thread(call, "extract/invoice", variables=variables)

                await ask()
                file.write_text("the second\n")
                await ask()
                file.unlink()
                await ask()


async def test_calls_are_spread_over_the_addresses_of_a_name() -> None:
    """Behind `dns:///` each server of a name has its turn."""
    served: list[str] = []
    servers = []
    port = 0
    for host in ("127.0.0.1", "127.0.0.2"):
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_telling(served, host),))
        port = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        servers.append(server)

    async with (
        running_name_server("127.0.0.1", "127.0.0.2") as names,
        AsyncPromptResolverClient(f"dns://{names.address}/prompts.example:{port}") as client,
    ):
        while set(served) != {"127.0.0.1", "127.0.0.2"}:
            await client.resolve("x")
        served.clear()
        for _ in range(10):
            await client.resolve("x")
    for server in servers:
        await server.stop(None)

    assert sorted(served) == ["127.0.0.1"] * 5 + ["127.0.0.2"] * 5


def _telling(served: list[str], name: str) -> grpc.GenericRpcHandler:
    """Return a service whose `Resolve` notes the name of its server."""

    async def resolve(request: bytes, context: object) -> bytes:
        served.append(name)
        return b""

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(resolve)
    service = pb.DESCRIPTOR.services_by_name["PromptResolver"].full_name
    return grpc.method_handlers_generic_handler(service, {"Resolve": method})


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that is not there or makes no sense is told by its name, before any call."""
    authority = Authority(tmp_path)
    pair, other = authority.write("client", "app.example"), authority.write("other", "x.example")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("no PEM")
    absent = tmp_path / "absent"
    faults = {
        f"ca_file: expected a readable file, got {absent}": {"ca_file": absent},
        f"ca_file: expected certificates as PEM in {nonsense}": {"ca_file": nonsense},
        f"key_file: expected a readable file, got {absent}": {
            "cert_file": pair.cert_file,
            "key_file": absent,
        },
        f"expected a certificate in {pair.cert_file} and its key in {other.key_file}": {
            "cert_file": pair.cert_file,
            "key_file": other.key_file,
        },
        "expected cert_file and key_file, got one of them": {"cert_file": pair.cert_file},
        f"token_file: expected a token in a readable file, got {absent}": {"token_file": absent},
    }

    for told, files in faults.items():
        with pytest.raises(ConfigurationError) as caught:
            PromptResolverClient("127.0.0.1:1", **files)  # type: ignore[arg-type]
        assert told in str(caught.value)


def test_one_of_two() -> None:
    """What is told twice is refused, as is what there is not."""
    with pytest.raises(ValueError, match="expected token or token_file"):
        PromptResolverClient(token="let-me-in", token_file="file")
    with pytest.raises(TypeError, match="unexpected option 'tokn'"):
        PromptResolverClient(tokn="let-me-in")  # type: ignore[call-arg]
