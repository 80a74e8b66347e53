"""The clients: one that waits, and one for asyncio.

Every call but `watch` has a deadline. `resolve` is tried again, up to three times, where a status
says "try again"; a completion never is, as each one may cost tokens.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import grpc

from .address import find_address, is_beside
from .errors import from_rpc_error
from .requests import CompleteOptions, ResolveOptions, complete_request, resolve_request
from .v1 import prompt_resolver_pb2 as pb
from .v1 import prompt_resolver_pb2_grpc as pb_grpc
from .watching import Resumption, WatchOptions

if TYPE_CHECKING:
    from .v1.prompt_resolver_pb2_grpc import PromptResolverAsyncStub

RESOLVE_TIMEOUT_S = 10.0
COMPLETE_TIMEOUT_S = 120.0

_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "prompt_resolver.v1.PromptResolver", "method": "Resolve"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    # A reader that stalls holds the server back after kilobytes, not megabytes.
    ("grpc.http2.bdp_probe", 0),
)
_Metadata = tuple[tuple[str, str], ...]


class Connection:
    """What all clients know: where the server is, and how to say who calls."""

    def __init__(
        self, address: str | None, token: str | None, tls: grpc.ChannelCredentials | None
    ) -> None:
        self._address = find_address(address)
        # gRPC would ask a proxy of the environment's even for what is beside the caller.
        beside = (("grpc.enable_http_proxy", 0),) if is_beside(self._address) else ()
        self._options = (*_OPTIONS, *beside)
        self._token = token
        self._tls = tls

    def _metadata(self, options: ResolveOptions | WatchOptions) -> _Metadata:
        credentials: Mapping[str, str] = options.get("credentials", {})
        own = (("authorization", f"Bearer {self._token}"),) if self._token else ()
        return (*own, *((name.lower(), key) for name, key in credentials.items()))


class PromptResolverClient(Connection):
    """A client that waits. Safe to share between threads; close it, or use it with `with`.

    `address` is `HOST:PORT` or `unix:/path`, by default `PROMPT_RESOLVER_ADDRESS`, else
    `127.0.0.1:50051`. `token` is the server's master key, if it has one. `tls` makes the connection
    secure. All methods raise `PromptResolverError`.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(address, token, tls)
        self._channel = (
            grpc.secure_channel(self._address, tls, options=self._options)
            if tls is not None
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
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> Generator[pb.CompleteStreamResponse, None, None]:
        """Yield a model's answer as it arrives.

        The answer is complete once `finished` has come. Leaving the loop early, and closing the
        iterator, cancels the call, and with it the model.
        """
        call = self._stub.CompleteStream(
            complete_request(pb.CompleteStreamRequest, prompt_id, options),
            timeout=options.get("timeout_s", COMPLETE_TIMEOUT_S),
            metadata=self._metadata(options),
        )
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

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
            )
            try:
                for event in call:
                    resumption.note(event)
                    yield event
                return
            except grpc.RpcError as error:
                pause_s = resumption.pause_s(from_rpc_error(error))
            finally:
                call.cancel()
            time.sleep(pause_s)

    def close(self) -> None:
        """Close the connection."""
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

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(address, token, tls)
        self._channel = (
            grpc.aio.secure_channel(self._address, tls, options=self._options)
            if tls is not None
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
        )
        try:
            async for event in call:
                yield event
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

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
            )
            try:
                async for event in call:
                    resumption.note(event)
                    yield event
                return
            except grpc.RpcError as error:
                pause_s = resumption.pause_s(from_rpc_error(error))
            finally:
                call.cancel()
            await asyncio.sleep(pause_s)

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
