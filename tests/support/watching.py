"""A caller that watches prompts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.raw import open_channel

_WAIT_S = 20.0


class Watcher:
    """One watch, event by event."""

    def __init__(
        self, call: "grpc.aio.UnaryStreamCall[pb.WatchPromptsRequest, pb.WatchPromptsResponse]"
    ) -> None:
        self._call = call
        self.revision = 0

    async def begun(self) -> int | None:
        """Wait until the watch has begun, and return the revision of its snapshot."""
        async with asyncio.timeout(_WAIT_S):
            metadata = dict(await self._call.initial_metadata() or ())
        text = metadata.get("x-snapshot-revision")
        return None if text is None else int(text)

    async def next(self, *, within_s: float | None = _WAIT_S) -> pb.WatchPromptsResponse:
        """Return the next event, and check that revisions grow."""
        async with asyncio.timeout(within_s):
            event = await self._call.read()
        assert isinstance(event, pb.WatchPromptsResponse), "the watch has ended"
        assert event.revision > self.revision
        self.revision = event.revision
        return event

    async def told(self) -> tuple[str, str, str]:
        """Return the next event's prompt and version, and what happened to it, in a word."""
        event = await self.next()
        change = pb.Change.Name(event.change).removeprefix("CHANGE_")
        return event.ref.id, event.prompt.version, change

    async def failure(self) -> tuple[grpc.StatusCode, str]:
        """Wait until the watch ends, and return its status and reason."""
        async with asyncio.timeout(_WAIT_S):
            try:
                while await self._call.read() is not grpc.aio.EOF:
                    pass
            except grpc.aio.AioRpcError as error:
                failure = from_rpc_error(error)
                return failure.code, failure.reason
        return await self._call.code(), ""

    @property
    def has_ended(self) -> bool:
        return self._call.done()

    def cancel(self) -> None:
        self._call.cancel()


def refs(*ids: str, store: str | None = None) -> list[pb.PromptRef]:
    """Return references without a selector."""
    return [pb.PromptRef(id=each, store=store) for each in ids]


@asynccontextmanager
async def watching(
    address: str,
    prompts: Sequence[pb.PromptRef] = (),
    *,
    after: int | None = None,
    keys: Sequence[tuple[str, str]] = (),
    timeout_s: float | None = None,
) -> AsyncIterator[Watcher]:
    """Watch prompts, on a connection of its own, until the context ends."""
    async with open_channel(address, ("grpc.http2.bdp_probe", 0)) as channel:
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        request = pb.WatchPromptsRequest(prompts=prompts, after_revision=after)
        call = stub.WatchPrompts(request, metadata=tuple(keys), timeout=timeout_s)
        yield Watcher(call)
        call.cancel()
