"""What a gRPC listener offers beside our calls, and what it does with calls that are none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import (
    prompt_resolver_pb2,
)
from prompt_resolver_server.rpc.server import SERVICE
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.raw import call_stream, call_unary, check_health, open_channel
from tests.support.service import RunningService, running_process, running_service
from tests.support.vitals import vitals

METHODS = prompt_resolver_pb2.DESCRIPTOR.services_by_name["PromptResolver"].methods_by_name


@pytest.fixture
async def channel(service: RunningService) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(service.address) as channel:
        yield channel


@pytest.mark.parametrize("name", ["", SERVICE, "readiness"])
async def test_health(channel: grpc.aio.Channel, name: str) -> None:
    """The server, the service and its readiness are served."""
    assert await check_health(channel, name) == health_pb2.HealthCheckResponse.SERVING


async def test_one_wait_for_all_methods(tmp_path: Path, prompts: Path) -> None:
    """A gRPC server waits once for the next call, however many methods it has."""
    config = f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    before = asyncio.all_tasks()

    async with running_service(tmp_path, config) as service:
        async with open_channel(service.address) as channel:
            assert len(await list_services(channel)) == 3
        coroutines = [task.get_coro() for task in asyncio.all_tasks() - before]
        names = [getattr(coroutine, "__name__", "") for coroutine in coroutines]

    assert [name for name in names if name.startswith("_request_")] == ["_request_call"]


REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def list_services(channel: grpc.aio.Channel) -> list[str]:
    call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(REFLECT)
    stream = call(timeout=10)
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString())
    await stream.done_writing()
    reply = reflection_pb2.ServerReflectionResponse()
    async for data in stream:
        reply.ParseFromString(data)
    return sorted(each.name for each in reply.list_services_response.service)


async def test_reflection_on_loopback(channel: grpc.aio.Channel) -> None:
    """A door on loopback describes itself, and offers no admin service."""
    assert await list_services(channel) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE,
    ]


async def test_reflection_of_nonsense(channel: grpc.aio.Channel) -> None:
    """What is no message of reflection is told so."""
    call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(REFLECT)
    stream = call(timeout=10)
    await stream.write(b"\xff")
    await stream.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stream:
            pass

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "expected a ServerReflectionRequest message"


async def test_reflection_can_be_turned_off(tmp_path: Path) -> None:
    """Reflection is off where the configuration says so."""
    async with (
        running_service(tmp_path, "server: {reflection: false}") as service,
        open_channel(service.address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await list_services(channel)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_unknown_methods_are_counted(
    service: RunningService, channel: grpc.aio.Channel
) -> None:
    """A caller of another version is seen, and its names for methods make no series."""
    for name, method in ((SERVICE, "Guess"), ("other.Service", "Resolve"), (SERVICE, "Guess2")):
        with pytest.raises(grpc.aio.AioRpcError):
            await call_unary(channel, name, method, b"")

    other = 'grpc_method="other",grpc_service="other",grpc_type="UNARY"'
    page = await service.metrics()
    assert f"grpc_server_started_total{{{other}}} 3.0" in page
    assert f'grpc_server_handled_total{{grpc_code="UNIMPLEMENTED",{other}}} 3.0' in page
    assert "Guess" not in page


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_there(channel: grpc.aio.Channel, method: str) -> None:
    """No method of the contract is unknown to the server."""
    call = call_stream if METHODS[method].server_streaming else call_unary

    details = await call(channel, SERVICE, method, b"\xff").details()

    assert details != "Method not found!"


async def test_nonsense_in_place_of_a_message(
    channel: grpc.aio.Channel, service: RunningService
) -> None:
    """Bytes that are no message are the caller's fault, and the service goes on."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call_unary(channel, SERVICE, "Resolve", b"\xff\xff\xff")

    error = from_rpc_error(caught.value)
    assert status_of(error) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert await service.client.resolve("greet", variables=VARIABLES)


async def test_nesting_that_is_too_deep(channel: grpc.aio.Channel) -> None:
    """A variable that is nested deeper than a message may be is the caller's fault."""
    value = struct_pb2.Value(string_value="x")
    wire = value.SerializeToString()
    for _ in range(150):
        inner = struct_pb2.ListValue.DESCRIPTOR.fields_by_name["values"].number
        wire = encode(inner, wire)
        wire = encode(struct_pb2.Value.DESCRIPTOR.fields_by_name["list_value"].number, wire)
    entry = encode(1, b"x") + encode(2, wire)
    request = encode(2, encode(1, entry))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call_unary(channel, SERVICE, "Resolve", request)

    error = from_rpc_error(caught.value)
    assert status_of(error) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


def encode(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field of the protobuf wire format."""
    length, digits = len(payload), b""
    while length > 0x7F:
        digits += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + digits + bytes([length]) + payload


async def test_message_beyond_the_limit(service: RunningService) -> None:
    """A message beyond the limit is refused by gRPC itself, and the service goes on."""
    error = await failure(
        service.client.resolve("greet", variables={**VARIABLES, "name": "x" * 5_000_000})
    )

    assert status_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "")
    assert await service.client.resolve("greet", variables=VARIABLES)


async def test_message_that_unpacks_beyond_the_limit(tmp_path: Path) -> None:
    """A compressed message is unpacked no further than a message may be long."""
    bomb = encode(1, encode(1, b"x" * (96 << 20)))
    async with (
        running_process(tmp_path, "") as (service, running),
        open_channel(service.address, ("grpc.max_send_message_length", -1)) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/Resolve"
        )
        # What the first call takes is taken.
        with pytest.raises(grpc.aio.AioRpcError):
            await call(encode(1, encode(1, b"x" * 1000)), compression=grpc.Compression.Gzip)
        before = vitals(running.process.pid)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(bomb, compression=grpc.Compression.Gzip, timeout=30)
        after = vitals(running.process.pid)
        response = await service.client.resolve("extract/invoice", variables={"text": "x"})

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert after.peak_kib - before.peak_kib < 32 << 10
    assert response.messages


async def test_two_servers_on_one_port(tmp_path: Path) -> None:
    """A second server on a port is refused, and does not share it in silence."""
    async with running_service(tmp_path) as first:
        environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": first.address}
        with pytest.raises(ConfigError, match="expected a free address, got 127"):
            async with running_service(tmp_path, environ=environ):
                pass


async def test_unix_socket(tmp_path: Path) -> None:
    """The data door may be a Unix socket."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/door.sock"}

    async with running_service(tmp_path, environ=environ) as service:
        response = await service.client.resolve("extract/invoice", variables={"text": "x"})

    assert service.address == f"unix:{tmp_path}/door.sock"
    assert response.prompt.store == "examples"
