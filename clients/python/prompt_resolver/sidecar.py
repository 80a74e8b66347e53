"""The client that `completion` has of a service beside it.

It is one for asyncio over gRPC's own threads: gRPC's asyncio leaves nothing that a process could
fork from. Each stream has a thread that reads it.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import TypeAlias, Unpack

import grpc

from .connection import Connection, is_late
from .connectivity import await_connected
from .credentials import find_tls_options, find_token_options
from .errors import ConfigurationError, PromptResolverError, from_rpc_error
from .requests import COMPLETE_TIMEOUT_S, CompleteOptions, complete_request, find_timeout
from .v1 import prompt_resolver_pb2 as pb
from .v1 import prompt_resolver_pb2_grpc as pb_grpc

# How many events of a stream may wait for their reader, before the service has to.
_AHEAD = 16

_Event: TypeAlias = pb.CompleteStreamResponse | grpc.RpcError | None
"""An event of a stream, or its end: an error, or None for a good one."""


class SidecarClient(Connection):
    """What `AsyncPromptResolverClient` is. Made and used inside of one event loop.

    All methods raise `PromptResolverError`.
    """

    uses_grpc = True

    def __init__(self, address: str) -> None:
        try:
            token = find_token_options()
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        super().__init__(address, **token, **find_tls_options())
        # A connection that it had in common with others would be in use in forks, too.
        self._channel = self._connect(("grpc.use_local_subchannel_pool", 1))
        self._stub = pb_grpc.PromptResolverStub(self._channel)

    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        how = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        call = self._stub.Complete.future(
            complete_request(pb.CompleteRequest, prompt_id, options),
            **how,
        )
        ended = _watch(call)
        try:
            await ended.wait()
            return call.result()
        except grpc.RpcError as error:
            raise await self._tell(error, how["timeout"]) from None
        finally:
            call.cancel()
            await ended.wait()

    async def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[pb.CompleteStreamResponse, None]:
        """Yield a model's answer as it arrives."""
        how = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        call = self._stub.CompleteStream(
            complete_request(pb.CompleteStreamRequest, prompt_id, options),
            **how,
        )
        ended = _watch(call)
        events: asyncio.Queue[_Event] = asyncio.Queue()
        room = threading.Semaphore(_AHEAD)
        loop = asyncio.get_running_loop()

        def put(event: _Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        threading.Thread(target=_read, args=(call, put, room), daemon=True).start()
        try:
            while isinstance(event := await events.get(), pb.CompleteStreamResponse):
                room.release()
                yield event
            if event is not None:
                raise await self._tell(event, how["timeout"])
        finally:
            call.cancel()
            room.release()
            await ended.wait()

    async def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._channel.close()

    async def _tell(self, error: grpc.RpcError, timeout_s: float | None) -> PromptResolverError:
        """Return what went wrong with a call as our error."""
        told = from_rpc_error(error)
        if is_late(told) and not await await_connected(self._channel):
            return self._unconnected(timeout_s)
        return told


def _watch(call: grpc.RpcContext) -> asyncio.Event:
    """Return what is set once gRPC has done with a call, be it that it was cancelled."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        # At the process' end the loop may be gone.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    if not call.add_callback(tell):
        ended.set()
    return ended


def _read(
    events: Iterable[pb.CompleteStreamResponse],
    put: Callable[[_Event], object],
    room: threading.Semaphore,
) -> None:
    """Read a stream to its end, no further ahead of its reader than there is room."""
    end: _Event = None
    # As above.
    with suppress(RuntimeError):
        try:
            for event in events:
                room.acquire()
                put(event)
        except grpc.RpcError as error:
            end = error
        put(end)
