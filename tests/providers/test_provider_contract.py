"""What every provider promises, tested on every provider."""

import ssl
from collections.abc import AsyncIterator, Sequence

import openai
import pytest

from prompt_resolver_server.answers import Delta, ModelRequest, Opened, TextDelta
from prompt_resolver_server.parameters import NO_PARAMETERS, Parameters
from prompt_resolver_server.prompts import Message, Text
from prompt_resolver_server.providers.dialects import DIALECTS
from prompt_resolver_server.providers.echo import EchoProvider
from prompt_resolver_server.providers.provider import Provider
from prompt_resolver_server.providers.remote import Endpoint, RemoteProvider
from prompt_resolver_server.providers.transport.proxied import AiohttpTransport
from prompt_resolver_server.providers.transport.transport import Timeouts
from tests.support.anthropic import anthropic_answer, anthropic_texts
from tests.support.upstream import Exchange, Upstream, openai_answer, openai_events

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="system", content=(Text("Say it again."),)),
        Message(role="user", content=(Text(" Hello  there,\nyou "),)),
    ),
    parameters=NO_PARAMETERS,
)


async def repeat(exchange: Exchange) -> None:
    """Answer with what the user said, as a provider across the network, in the dialect it has."""
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    content = messages[-1]["content"]
    if isinstance(content, str):
        whole, events = openai_answer(content), openai_events(content[:3], content[3:])
    else:
        text = content[0]["text"]
        whole = anthropic_answer({"type": "text", "text": text})
        events = anthropic_texts(text[:3], text[3:])
    if exchange.json.get("stream"):
        await exchange.begin_stream()
        await exchange.send(b"".join(events))
        exchange.writer.close()
    else:
        await exchange.send_response(whole)


@pytest.fixture(params=["echo", *DIALECTS, *(f"{name}, whole" for name in DIALECTS)])
async def provider(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[Provider]:
    """A provider of each kind; where it says so, one that is never asked to stream a completion."""
    upstream.answer = repeat
    name, _, whole = request.param.partition(", ")
    transport = AiohttpTransport(tls=ssl.create_default_context())
    endpoint = Endpoint(
        base_url=upstream.url,
        timeouts=Timeouts(connect_s=5, first_byte_s=5, idle_s=5),
        find_key=lambda: None,
        key_required=False,
        stream_completions=not whole,
    )
    if name == "echo":
        yield EchoProvider()
    else:
        yield RemoteProvider(
            name="p", dialect=DIALECTS[name], endpoint=endpoint, transport=transport
        )
    await transport.aclose()


async def stream(provider: Provider, request: ModelRequest) -> tuple[list[Delta], str]:
    deltas: list[Delta] = []

    async def emit(more: Sequence[Delta]) -> None:
        assert more
        deltas.extend(more)

    finish = await provider.stream(request, emit, caller_key=None)
    return deltas, finish.reason


async def test_whole_answer(provider: Provider) -> None:
    """A whole answer is an assistant's message with an end and a usage."""
    answer = await provider.complete(REQUEST, caller_key=None)

    assert (answer.message.role, answer.message.text) == ("assistant", " Hello  there,\nyou ")
    assert answer.finish.reason == "stop"
    assert answer.finish.raw_reason in ("stop", "end_turn")
    assert answer.finish.model
    assert answer.finish.usage is not None


async def test_streamed_answer(provider: Provider) -> None:
    """A streamed answer opens first, once, and its texts make the whole answer's text."""
    deltas, reason = await stream(provider, REQUEST)

    assert isinstance(deltas[0], Opened)
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas[1:])
    text = "".join(delta.text for delta in deltas[1:] if isinstance(delta, TextDelta))
    assert text == " Hello  there,\nyou "
    assert reason == "stop"


async def test_caller_that_fails(provider: Provider) -> None:
    """What goes wrong in taking the answer ends the call, as it is."""

    class GoneError(Exception):
        pass

    async def emit(deltas: Sequence[Delta]) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        await provider.stream(REQUEST, emit, caller_key=None)


@pytest.mark.parametrize("text", ["  ", "\n", "word"])
async def test_texts(provider: Provider, text: str) -> None:
    """Texts of all kinds come back as they are, streamed and whole."""
    request = ModelRequest(
        model="m", messages=(Message(role="user", content=(Text(text),)),), parameters=Parameters()
    )

    answer = await provider.complete(request, caller_key=None)
    deltas, _ = await stream(provider, request)

    assert answer.message.text == text
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == text


@pytest.mark.parametrize("provider", ["echo", "openai"], indirect=True)
async def test_no_text(provider: Provider) -> None:
    """Where nothing may be said, nothing comes back. Anthropic's dialect has no empty texts."""
    request = ModelRequest(
        model="m", messages=(Message(role="user", content=(Text(""),)),), parameters=Parameters()
    )

    answer = await provider.complete(request, caller_key=None)
    deltas, _ = await stream(provider, request)

    assert answer.message.content == ()
    assert not any(isinstance(delta, TextDelta) for delta in deltas)


async def test_echo_without_a_user() -> None:
    """Where no user speaks, the echo repeats whoever spoke last."""
    request = ModelRequest(
        model="m",
        messages=(Message(role="system", content=(Text("only this"),)),),
        parameters=NO_PARAMETERS,
    )

    answer = await EchoProvider().complete(request, caller_key=None)

    assert answer.message.text == "only this"


async def test_stand_in_is_what_the_vendors_client_expects(upstream: Upstream) -> None:
    """The stand-in that these tests use is a provider to the vendor's own client."""
    async with openai.AsyncOpenAI(base_url=upstream.url, api_key="k", max_retries=0) as client:
        whole = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}]
        )
        pieces = await client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in pieces]

    assert whole.choices[0].message.content == "Hello"
    assert whole.choices[0].finish_reason == "stop"
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(texts) == "Hello"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
