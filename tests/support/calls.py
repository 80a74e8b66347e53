"""Calls, as a caller makes them, and what comes of them."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import grpc
import pytest
from typing_extensions import Unpack

from prompt_resolver import AsyncPromptResolverClient, CompleteOptions, PromptResolverError
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


async def collect(
    client: AsyncPromptResolverClient,
    prompt_id: str = "greet",
    **options: Unpack[CompleteOptions],
) -> Streamed:
    """Stream the answer to a prompt to its end, whatever the end is."""
    streamed = Streamed()
    full: CompleteOptions = {"variables": VARIABLES, **options}
    try:
        async for event in client.complete_stream(prompt_id, **full):
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


def put_together(streamed: Streamed) -> pb.Message:
    """Join a stream's deltas as the contract says, in the plainest way."""
    message = pb.Message(role=pb.ROLE_ASSISTANT)
    open_thought = False
    for event in streamed.events:
        match event.WhichOneof("event"):
            case "reasoning_delta":
                thought = event.reasoning_delta
                if not open_thought or thought.HasField("redacted"):
                    message.content.add().reasoning.text = ""
                whole = message.content[-1].reasoning
                text = whole.text + thought.text
                whole.MergeFrom(thought)
                whole.text = text
                ended = thought.HasField("signature") or thought.HasField("redacted")
                open_thought = not ended
            case "text_delta":
                if not message.content or message.content[-1].WhichOneof("part") != "text":
                    message.content.add().text = ""
                message.content[-1].text += event.text_delta
                open_thought = False
            case "tool_call_delta":
                piece = event.tool_call_delta
                if piece.index == len(message.tool_calls):
                    message.tool_calls.add(id=piece.id, name=piece.name)
                call = message.tool_calls[piece.index]
                call.arguments_json += piece.arguments_json_delta
                if piece.HasField("signature"):
                    call.signature = piece.signature
    return message
