"""Calls, as a caller makes them, and what comes of them."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import grpc
import pytest

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

VARIABLES = {"language": "French", "name": "Ada"}
"""What the prompt `greet` of the fixtures needs."""


@dataclass
class Streamed:
    """A streamed answer, as far as it came, and the error that ended it."""

    events: list[pb.CompleteStreamResponse] = field(default_factory=list)
    error: PromptResolverError | None = None

    @property
    def kinds(self) -> list[str | None]:
        return [event.WhichOneof("event") for event in self.events]

    @property
    def text(self) -> str:
        return "".join(event.text_delta for event in self.events)

    @property
    def finished(self) -> pb.Finished:
        assert self.kinds[-1] == "finished"
        return self.events[-1].finished


async def collect(client: AsyncPromptResolverClient, prompt_id: str = "greet") -> Streamed:
    """Stream the answer to a prompt to its end, whatever the end is."""
    streamed = Streamed()
    try:
        async for event in client.complete_stream(prompt_id, variables=VARIABLES):
            streamed.events.append(event)
    except PromptResolverError as error:
        streamed.error = error
    return streamed


async def failure(call: Awaitable[object]) -> PromptResolverError:
    """Return the error that a call ends in."""
    with pytest.raises(PromptResolverError) as caught:
        await call
    return caught.value


def status_of(error: PromptResolverError | None) -> tuple[grpc.StatusCode, str]:
    """Return an error's status and reason."""
    assert error is not None
    return error.code, error.reason
