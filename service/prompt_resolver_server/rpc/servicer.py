"""The methods of `PromptResolver`: decode, call, encode."""

import logging
from collections.abc import Sequence
from functools import partial

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.answers import Delta
from ..domain.prompts import ResolvedPrompt
from ..entry.caller import Caller
from ..entry.record import cut_labels
from ..entry.serving import Serving
from ..resolving.resolver import Query, Resolution, Resolver
from ..runtime.aside import Aside
from .calls import Send
from .decode import CompleteRequest, read_query
from .encode import write_resolved
from .encode_answer import write_completed, write_delta, write_finished

# What takes a millisecond to read, if all of it is numbers.
_LARGE_BYTES = 16 * 1024

_log = logging.getLogger(__name__)


class PromptResolverServicer:
    """Answers the contract's calls, each by the `Resolver` that serves when it comes."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._aside = Aside("read")

    async def resolve(self, request: pb.ResolveRequest, caller: Caller) -> pb.ResolveResponse:
        """Return the rendered prompt."""
        query = (
            _read(request, caller)
            if request.ByteSize() <= _LARGE_BYTES
            else await self._aside.do(partial(_read, request, caller))
        )
        return write_resolved((await self._serving.resolver.resolve(query)).prompt)

    async def complete(self, request: pb.CompleteRequest, caller: Caller) -> pb.CompleteResponse:
        """Return the model's whole answer."""
        resolver = self._serving.resolver
        resolution = await self._resolve(resolver, request, caller)
        answer, dispatch = await resolver.complete(resolution)
        return write_completed(answer, dispatch, include_resolved=request.include_resolved)

    async def complete_stream(
        self, request: pb.CompleteStreamRequest, caller: Caller, send: Send
    ) -> None:
        """Send the model's answer as it arrives."""
        resolver = self._serving.resolver
        resolution = await self._resolve(resolver, request, caller)

        async def deliver(prompt: ResolvedPrompt, deltas: Sequence[Delta]) -> None:
            for delta in deltas:
                await send(write_delta(delta, prompt, include_resolved=request.include_resolved))

        finish, dispatch = await resolver.stream(resolution, deliver)
        await send(write_finished(finish, dispatch))

    async def _resolve(
        self, resolver: Resolver, request: CompleteRequest, caller: Caller
    ) -> Resolution:
        query = (
            _read(request, caller)
            if request.ByteSize() <= _LARGE_BYTES
            else await self._aside.do(partial(_read, request, caller))
        )
        resolution = await resolver.resolve(query)
        if request.metadata:
            labels = cut_labels(request.metadata)
            caller.span.labelled(labels)
            _log.info(
                "a completion begins",
                extra={
                    "prompt": query.prompt.id,
                    "alias": query.alias,
                    "provider": resolution.prompt.provider,
                    "labels": labels,
                },
            )
        return resolution


def _read(request: pb.ResolveRequest | CompleteRequest, caller: Caller) -> Query:
    return read_query(
        request, credentials=caller.credentials, deadline=caller.deadline, span=caller.span
    )
