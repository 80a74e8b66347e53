"""Calls of raw bytes, for what no stub would send."""

from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2

if TYPE_CHECKING:
    _Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    _Stream = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]


def open_channel(address: str, *options: tuple[str, str | int]) -> grpc.aio.Channel:
    """Return a channel whose connection is its own.

    gRPC would have it wait for a connection that another test's has failed to make, where the
    port was that of a service of that one's.
    """
    return grpc.aio.insecure_channel(
        address, options=(("grpc.use_local_subchannel_pool", 1), *options)
    )


def call_unary(
    channel: grpc.aio.Channel, service: str, method: str, data: bytes, *, timeout_s: float = 10
) -> "grpc.aio.UnaryUnaryCall[bytes, bytes]":
    """Call a method with one response."""
    call: _Unary = channel.unary_unary(f"/{service}/{method}")
    return call(data, timeout=timeout_s)


def call_stream(
    channel: grpc.aio.Channel, service: str, method: str, data: bytes
) -> "grpc.aio.UnaryStreamCall[bytes, bytes]":
    """Call a method with a stream of responses."""
    call: _Stream = channel.unary_stream(f"/{service}/{method}")
    return call(data, timeout=10)


async def check_health(channel: grpc.aio.Channel, service: str = "") -> int:
    """Ask the health service as a probe does."""
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    reply = await call_unary(channel, "grpc.health.v1.Health", "Check", request)
    status: int = health_pb2.HealthCheckResponse.FromString(reply).status
    return status
