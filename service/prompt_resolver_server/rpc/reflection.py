"""gRPC reflection: a door describes itself to tools such as grpcurl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError

SERVICE = "grpc.reflection.v1alpha.ServerReflection"
_METHOD = "ServerReflectionInfo"

if TYPE_CHECKING:
    # Generic in the stubs alone.
    Context = grpc.ServicerContext
    Handler = grpc.RpcMethodHandler[bytes, bytes]


def reflection_handler(services: Sequence[str]) -> grpc.GenericRpcHandler:
    """Return what tells of these services, and of reflection.

    Few are ever asked. So what it takes is read by the thread that answers, and not at the start.
    """

    def reflect(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415

        read = reflection_pb2.ServerReflectionRequest.FromString
        servicer = reflection.ReflectionServicer((*services, SERVICE))
        try:
            for answer in servicer.ServerReflectionInfo(map(read, requests), context):
                yield answer.SerializeToString()
        except DecodeError:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "expected a ServerReflectionRequest message"
            )

    handler: Handler = grpc.stream_stream_rpc_method_handler(reflect)
    return grpc.method_handlers_generic_handler(SERVICE, {_METHOD: handler})
