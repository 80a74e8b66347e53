"""The clients: one that waits, and one for asyncio.

Every call but `watch` has a deadline. `resolve` is tried again, up to three times, where a status
says "try again"; a completion never is, as each one may cost tokens.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import grpc

from .connection import Connection, ConnectionOptions
from .errors import StreamIncompleteError, from_rpc_error
from .requests import CompleteOptions, ResolveOptions, complete_request, resolve_request
from .v1 import prompt_resolver_pb2 as pb
from .v1 import prompt_resolver_pb2_grpc as pb_grpc
from .watching import Resumption, WatchOptions

if TYPE_CHECKING:
    from .v1.prompt_resolver_pb2_grpc import PromptResolverAsyncStub

RESOLVE_TIMEOUT_S = 10.0
COMPLETE_TIMEOUT_S = 120.0


class PromptResolverClient(Connection):
    """A client that waits. Safe to share between threads; close it, or use it with `with`.

    `address` is `HOST:PORT`, `unix:/path`, or `dns:///NAME:PORT` to spread calls over all addresses
    of a name; by default `PROMPT_RESOLVER_ADDRESS`, else `127.0.0.1:50051`. All methods raise
    `PromptResolverError`, and making one `ConfigurationError` for files that cannot be used.
    """

    def __init__(self, address: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        super().__init__(address, **options)
        self._channel = (
            grpc.secure_channel(self._address, self._tls, options=self._options)
            if self._tls is not None
            else grpc.insecure_channel(self._address, options=self._options)
        )
        self._stub = pb_grpc.PromptResolverStub(self._channel)

    def resolve(self, prompt_id: str = "", **options: Unpack[ResolveOptions]) -> pb.ResolveResponse:
        """Return a rendered prompt. `prompt_id` may be left out with an `alias`."""
        try:
            return self._stub.Resolve(
                resolve_request(prompt_id, options),
                timeout=options.get("timeout_s", RESOLVE_TIMEOUT_S),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready,
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        try:
            return self._stub.Complete(
                complete_request(pb.CompleteRequest, prompt_id, options),
                timeout=options.get("timeout_s", COMPLETE_TIMEOUT_S),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready,
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> Generator[pb.CompleteStreamResponse, None, None]:
        """Yield a model's answer as it arrives.

        The answer is complete once `finished` has come; a stream that ends without it raises.
        Leaving the loop early, and closing the iterator, cancels the call, and with it the model.
        """
        call = self._stub.CompleteStream(
            complete_request(pb.CompleteStreamRequest, prompt_id, options),
            timeout=options.get("timeout_s", COMPLETE_TIMEOUT_S),
            metadata=self._metadata(options),
            wait_for_ready=self._wait_for_ready,
        )
        finished = False
        try:
            for event in call:
                finished = finished or event.HasField("finished")
                yield event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()
        if not finished:
            raise StreamIncompleteError

    def watch(
        self, *prompts: str | pb.PromptRef, **options: Unpack[WatchOptions]
    ) -> Generator[pb.WatchPromptsResponse, None, None]:
        """Yield how prompts are, and what happens to them; without any, to all that are cached.

        Prompts are named by their ids or, with a selector, by references. Where the connection
        breaks or the server restarts, the watch goes on after the last event; if the server does
        not know that one any more, a snapshot comes again. It lasts until the iterator is closed.
        """
        resumption = Resumption(prompts, options)
        while True:
            call = self._stub.WatchPrompts(
                resumption.request(),
                timeout=resumption.remaining_s(),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready and resumption.reconnects,
            )
            try:
                for event in call:
                    resumption.note(event)
                    yield event
                pause_s = resumption.pause_s(None)
            except grpc.RpcError as error:
                pause_s = resumption.pause_s(from_rpc_error(error))
            finally:
                call.cancel()
            time.sleep(pause_s)

    @property
    def channel(self) -> grpc.Channel:
        """The channel, for other services of the server, such as its health."""
        return self._channel

    def close(self) -> None:
        """Close the connection. Calls that run, in whichever thread, end cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncPromptResolverClient(Connection):
    """A client for asyncio; see `PromptResolverClient`. Made and used inside of one event loop."""

    def __init__(self, address: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        super().__init__(address, **options)
        self._channel = (
            grpc.aio.secure_channel(self._address, self._tls, options=self._options)
            if self._tls is not None
            else grpc.aio.insecure_channel(self._address, options=self._options)
        )
        self._stub: PromptResolverAsyncStub = pb_grpc.PromptResolverStub(self._channel)

    async def resolve(
        self, prompt_id: str = "", **options: Unpack[ResolveOptions]
    ) -> pb.ResolveResponse:
        """Return a rendered prompt. `prompt_id` may be left out with an `alias`."""
        try:
            return await self._stub.Resolve(
                resolve_request(prompt_id, options),
                timeout=options.get("timeout_s", RESOLVE_TIMEOUT_S),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready,
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        try:
            return await self._stub.Complete(
                complete_request(pb.CompleteRequest, prompt_id, options),
                timeout=options.get("timeout_s", COMPLETE_TIMEOUT_S),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready,
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    async def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[pb.CompleteStreamResponse, None]:
        """Yield a model's answer as it arrives; see `PromptResolverClient.complete_stream`."""
        call = self._stub.CompleteStream(
            complete_request(pb.CompleteStreamRequest, prompt_id, options),
            timeout=options.get("timeout_s", COMPLETE_TIMEOUT_S),
            metadata=self._metadata(options),
            wait_for_ready=self._wait_for_ready,
        )
        finished = False
        try:
            async for event in call:
                finished = finished or event.HasField("finished")
                yield event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()
        if not finished:
            raise StreamIncompleteError

    async def watch(
        self, *prompts: str | pb.PromptRef, **options: Unpack[WatchOptions]
    ) -> AsyncGenerator[pb.WatchPromptsResponse, None]:
        """Yield how prompts are, and what happens to them; see `PromptResolverClient.watch`."""
        resumption = Resumption(prompts, options)
        while True:
            call = self._stub.WatchPrompts(
                resumption.request(),
                timeout=resumption.remaining_s(),
                metadata=self._metadata(options),
                wait_for_ready=self._wait_for_ready and resumption.reconnects,
            )
            try:
                async for event in call:
                    resumption.note(event)
                    yield event
                pause_s = resumption.pause_s(None)
            except grpc.RpcError as error:
                pause_s = resumption.pause_s(from_rpc_error(error))
            finally:
                call.cancel()
            await asyncio.sleep(pause_s)

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, for other services of the server, such as its health."""
        return self._channel

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
