"""What cannot be sent is left out where the operator says so, and every piece of it is told."""

import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.parameters import Parameters
from prompt_resolver_server.domain.prompts import Media, Message, Reasoning, Text
from prompt_resolver_server.providers.dialects import DIALECTS
from tests.support.anthropic import answer_anthropic
from tests.support.remote import call_provider
from tests.support.upstream import Upstream

SOUND = Media(kind="audio", data=b"x", media_type="audio/wav")
IMAGE = Media(kind="image", data=b"x", media_type="image/png")
REQUEST = ModelRequest(
    model="m",
    messages=(
        Message(role="user", content=(SOUND, Text("Hi"), IMAGE, SOUND)),
        Message(role="assistant", content=(Text("Yes?"),)),
        Message(role="user", content=(SOUND,)),
        Message(role="tool", content=(Text("2"), SOUND), tool_call_id="c"),
    ),
    parameters=Parameters(seed=7),
    insisted=frozenset({"seed"}),
)


async def ask(upstream: Upstream, request: ModelRequest, *, lenient: bool) -> tuple[str, ...]:
    """Have a request answered; return what was left out of it."""
    upstream.answer = answer_anthropic
    answer = await call_provider(
        DIALECTS["anthropic"], upstream.url, request, drop_unsupported=lenient
    )
    return answer.finish.dropped


async def test_left_out(upstream: Upstream) -> None:
    """Parameters and media that the provider lacks are left out by their places, and no others."""
    dropped = await ask(upstream, REQUEST, lenient=True)

    assert dropped == (
        "seed",
        "messages[0].content[0]",
        "messages[0].content[3]",
        "messages[2].content[0]",
        "messages[3].content[1]",
    )
    match upstream.exchanges[0].json["messages"]:
        case [{"content": [text, image]}, _, {"content": [result]}]:
            assert (text["text"], image["type"]) == ("Hi", "image")
            assert result["content"] == [{"type": "text", "text": "2"}]
        case other:
            raise AssertionError(other)


async def test_refused_otherwise(upstream: Upstream) -> None:
    """Unless the operator says so, the first that cannot be sent is refused by its place."""
    with pytest.raises(CallError) as caught:
        await ask(upstream, REQUEST, lenient=False)

    assert [each.field for each in caught.value.violations] == ["messages[0].content[0]"]
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", content=(SOUND,)),
        Message(role="assistant", content=(Reasoning(signature=b"\xff"),)),
    ],
)
async def test_nothing_that_could_be_answered(upstream: Upstream, message: Message) -> None:
    """What is no medium is not left out, nor is a request sent that says nothing any more."""
    request = ModelRequest(model="m", messages=(message,), parameters=Parameters())

    with pytest.raises(CallError):
        await ask(upstream, request, lenient=True)

    assert upstream.exchanges == []
