"""The clients: one that waits, and one for asyncio.

Every call but `watch` has a deadline. `resolve` is tried again, up to three times, where a status
says "try again"; a completion never is, as each one may cost tokens.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, Unpack

import grpc

from .connection import Connection, ConnectionOptions, is_late, was_closed
from .connectivity import is_connected
from .errors import PromptResolverError, StreamIncompleteError, from_rpc_error
from .requests import (
    COMPLETE_TIMEOUT_S,
    RESOLVE_TIMEOUT_S,
    CompleteOptions,
    ResolveOptions,
    complete_request,
    find_timeout,
    resolve_request,
)
from .v1 import prompt_resolver_pb2 as pb
from .v1 import prompt_resolver_pb2_grpc as pb_grpc
from .watching import Resumption, WatchOptions

if TYPE_CHECKING:
    from .v1.prompt_resolver_pb2_grpc import PromptResolverAsyncStub

_READY = grpc.ChannelConnectivity.READY


class PromptResolverClient(Connection):
    """A client that waits. Safe to share between threads; close it, or use it with `with`.

    `address` is `HOST:PORT`, `unix:/path`, or `dns:///NAME:PORT` to spread calls over all addresses
    of a name; by default `PROMPT_RESOLVER_ADDRESS`, else `127.0.0.1:50051`. All methods raise
    `PromptResolverError`, and making one `ConfigurationError` for an address, a token or files that
    cannot be used.
    """

    def __init__(self, address: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        super().__init__(address, **options)
        self._channel = self._connect()
        self._stub = pb_grpc.PromptResolverStub(self._channel)

    def resolve(self, prompt_id: str = "", **options: Unpack[ResolveOptions]) -> pb.ResolveResponse:
        """Return a rendered prompt. `prompt_id` may be left out with an `alias`."""
        request = resolve_request(prompt_id, options)
        call = self._call_options(options, find_timeout(options, RESOLVE_TIMEOUT_S))
        with self._telling(call["timeout"]):
            return self._stub.Resolve(request, **call)

    def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        request = complete_request(pb.CompleteRequest, prompt_id, options)
        call = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        with self._telling(call["timeout"]):
            return self._stub.Complete(request, **call)

    def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> Generator[pb.CompleteStreamResponse, None, None]:
        """Yield a model's answer as it arrives.

        The answer is complete once `finished` has come; a stream that ends without it raises.
        Leaving the loop early, and closing the iterator, cancels the call, and with it the model.
        """
        request = complete_request(pb.CompleteStreamRequest, prompt_id, options)
        how = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        finished = False
        with self._telling(how["timeout"]):
            call = self._stub.CompleteStream(request, **how)
            try:
                for event in call:
                    finished = finished or event.HasField("finished")
                    yield event
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
            how = self._call_options(options, resumption.remaining_s())
            how["wait_for_ready"] = self._wait_for_ready and resumption.reconnects
            try:
                with self._telling(resumption.timeout_s):
                    call = self._stub.WatchPrompts(resumption.request(), **how)
                    try:
                        if resumption.wants_beginnings:
                            resumption.begin(call.initial_metadata() or ())
                        for event in call:
                            resumption.note(event)
                            yield event
                    finally:
                        call.cancel()
            except PromptResolverError as error:
                pause_s = resumption.pause_s(error)
            else:
                pause_s = resumption.pause_s(None)
            time.sleep(pause_s)

    @property
    def channel(self) -> grpc.Channel:
        """The channel, for other services of the server, such as its health."""
        return self._channel

    def close(self) -> None:
        """Close the connection. Calls that run, in whichever thread, end cancelled."""
        self._closed = True
        self._channel.close()

    @contextmanager
    def _telling(self, timeout_s: float | None) -> Iterator[None]:
        """Raise what goes wrong with a call as our error."""
        try:
            yield
        except grpc.RpcError as error:
            told = from_rpc_error(error)
            if is_late(told) and not self._closed and not is_connected(self._channel):
                told = self._unconnected(timeout_s)
            raise told from None
        except ValueError:
            # gRPC's way to tell that a thread has closed the channel.
            if not self._closed:
                raise
            raise was_closed() from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Opened(NamedTuple):
    """A channel, and the event loop that it was opened in, which is the only one to use it."""

    loop: asyncio.AbstractEventLoop
    channel: grpc.aio.Channel
    stub: "PromptResolverAsyncStub"


class AsyncPromptResolverClient(Connection):
    """A client for asyncio; see `PromptResolverClient`.

    It may be made anywhere, and belongs to the event loop of its first call: in any other one, its
    methods raise `RuntimeError`.
    """

    def __init__(self, address: str | None = None, **options: Unpack[ConnectionOptions]) -> None:
        super().__init__(address, **options)
        self._opened: _Opened | None = None

    async def resolve(
        self, prompt_id: str = "", **options: Unpack[ResolveOptions]
    ) -> pb.ResolveResponse:
        """Return a rendered prompt. `prompt_id` may be left out with an `alias`."""
        request = resolve_request(prompt_id, options)
        call = self._call_options(options, find_timeout(options, RESOLVE_TIMEOUT_S))
        with self._telling(call["timeout"]):
            return await self._open().stub.Resolve(request, **call)

    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        request = complete_request(pb.CompleteRequest, prompt_id, options)
        call = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        with self._telling(call["timeout"]):
            return await self._open().stub.Complete(request, **call)

    async def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[pb.CompleteStreamResponse, None]:
        """Yield a model's answer as it arrives; see `PromptResolverClient.complete_stream`."""
        request = complete_request(pb.CompleteStreamRequest, prompt_id, options)
        how = self._call_options(options, find_timeout(options, COMPLETE_TIMEOUT_S))
        finished = False
        with self._telling(how["timeout"]):
            call = self._open().stub.CompleteStream(request, **how)
            try:
                async for event in call:
                    finished = finished or event.HasField("finished")
                    yield event
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
            how = self._call_options(options, resumption.remaining_s())
            how["wait_for_ready"] = self._wait_for_ready and resumption.reconnects
            try:
                with self._telling(resumption.timeout_s):
                    call = self._open().stub.WatchPrompts(resumption.request(), **how)
                    try:
                        if resumption.wants_beginnings:
                            resumption.begin(await call.initial_metadata() or ())
                        async for event in call:
                            resumption.note(event)
                            yield event
                    finally:
                        call.cancel()
            except PromptResolverError as error:
                pause_s = resumption.pause_s(error)
            else:
                pause_s = resumption.pause_s(None)
            await asyncio.sleep(pause_s)

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, for other services of the server, such as its health.

        It is opened in the event loop that first needs it. Raises `PromptResolverError` once the
        client is closed.
        """
        return self._open().channel

    async def close(self) -> None:
        """Close the connection. Calls that run, in whichever task, end cancelled."""
        self._closed = True
        if self._opened is not None:
            await self._opened.channel.close()

    def _open(self) -> _Opened:
        """Return what the first call opens. Raises `RuntimeError` in another event loop."""
        if self._closed:
            raise was_closed()
        loop = asyncio.get_running_loop()
        if self._opened is None:
            channel = self._connect_aio()
            self._opened = _Opened(loop, channel, pb_grpc.PromptResolverStub(channel))
        if self._opened.loop is not loop:
            raise RuntimeError(
                "expected to be used in one event loop, that of the client's first call;"
                " make a client in each loop"
            )
        return self._opened

    @contextmanager
    def _telling(self, timeout_s: float | None) -> Iterator[None]:
        """Raise what goes wrong with a call as our error."""
        try:
            yield
        except grpc.RpcError as error:
            told = from_rpc_error(error)
            if is_late(told) and not self._closed and self.channel.get_state() is not _READY:
                told = self._unconnected(timeout_s)
            raise told from None
        except grpc.aio.UsageError:
            # It was closed before the call was sent.
            raise was_closed() from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or task is None or task.cancelling():
                raise
            # Nobody has cancelled the task: gRPC has, of a channel that was closed.
            raise was_closed() from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
