"""What every provider promises, tested on every provider."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import openai
import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.answers import Delta, ModelRequest, Opened, TextDelta
from prompt_resolver_server.domain.errors import Reason, ResolverError, UpstreamError
from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Parameters
from prompt_resolver_server.domain.prompts import Media, Message, Text
from prompt_resolver_server.providers.echo import EchoProvider
from prompt_resolver_server.providers.provider import Provider
from prompt_resolver_server.providers.remote import RemoteProvider
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.transport import Transport
from tests.support.dialects import SUBJECTS, Recording, Subject
from tests.support.remote import remote_provider
from tests.support.upstream import Exchange, Upstream, running_upstream

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="system", content=(Text("Say it again."),)),
        Message(role="user", content=(Text(" Hello  there,\nyou "),)),
    ),
    parameters=NO_PARAMETERS,
)


@pytest.fixture(
    params=[None, *SUBJECTS, *SUBJECTS],
    ids=["echo", *(s.name for s in SUBJECTS), *(f"{s.name}, whole" for s in SUBJECTS)],
)
async def provider(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[Provider]:
    """A provider of each kind; where it says so, one that is never asked to stream a completion."""
    subject: Subject | None = request.param
    if subject is None:
        yield EchoProvider()
        return
    upstream.answer = subject.answer
    whole = "whole" in request.node.callspec.id
    transport = DirectTransport(tls=ssl.create_default_context())
    yield provider_of(subject, upstream, transport, stream_completions=not whole)
    await transport.aclose()


def provider_of(
    subject: Subject, upstream: Upstream, transport: Transport, *, stream_completions: bool = True
) -> RemoteProvider:
    return remote_provider(
        subject.dialect,
        upstream.url,
        transport,
        stream_completions=stream_completions,
        quirks=subject.quirks,
    )


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
    assert answer.finish.raw_reason
    assert answer.finish.model
    assert answer.finish.usage is not None


async def test_streamed_answer(provider: Provider) -> None:
    """A streamed answer opens first, once, and its texts make the whole answer's text."""
    deltas, reason = await stream(provider, REQUEST)

    assert isinstance(deltas[0], Opened)
    assert deltas[0].model
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas[1:])
    text = "".join(delta.text for delta in deltas[1:] if isinstance(delta, TextDelta))
    assert text == " Hello  there,\nyou "
    assert reason == "stop"


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: str(subject.name))
async def test_whole_address(upstream: Upstream, subject: Subject) -> None:
    """A base URL that is the whole address is the same as one that is its beginning."""
    upstream.answer = subject.answer
    transport = DirectTransport(tls=ssl.create_default_context())
    for stream_completions in (True, False):
        short = provider_of(subject, upstream, transport, stream_completions=stream_completions)
        await short.complete(REQUEST, caller_key=None)
    base_url, paths = upstream.url, [exchange.path for exchange in upstream.exchanges]

    for path, stream_completions in zip(paths, (True, False), strict=True):
        upstream.url = base_url.removesuffix("/v1") + path
        long = provider_of(subject, upstream, transport, stream_completions=stream_completions)
        await long.complete(REQUEST, caller_key=None)
    await transport.aclose()

    assert [exchange.path for exchange in upstream.exchanges] == paths * 2


async def test_media_are_not_fetched(provider: Provider) -> None:
    """A URL of a medium is for the provider to fetch, or is refused: nobody here asks for it."""
    async with running_upstream() as internal:
        for kind in ("image", "audio", "file"):
            medium = Media(kind=kind, url=f"{internal.url}/a.png", media_type="image/png")
            turn = Message(role="user", content=(Text("Look"), medium))
            with suppress(ResolverError):
                await provider.complete(replace(REQUEST, messages=(turn,)), caller_key=None)

        assert internal.connections == 0


async def test_caller_that_fails(provider: Provider) -> None:
    """What goes wrong in taking the answer ends the call, as it is."""

    class GoneError(Exception):
        pass

    async def emit(deltas: Sequence[Delta]) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        await provider.stream(REQUEST, emit, caller_key=None)


@pytest.mark.parametrize("text", ["word", "a  b", "\n a\n"])
async def test_texts(provider: Provider, text: str) -> None:
    """Texts of all kinds come back as they are, streamed and whole."""
    await check_text(provider, text)


@pytest.mark.parametrize("text", ["  ", "\n"])
@pytest.mark.parametrize("provider", [None, *(s for s in SUBJECTS if s.says_blanks)], indirect=True)
async def test_blank_texts(provider: Provider, text: str) -> None:
    """White space alone comes back, too. Some dialects have no such texts."""
    await check_text(provider, text)


async def check_text(provider: Provider, text: str) -> None:
    request = ModelRequest(
        model="m", messages=(Message(role="user", content=(Text(text),)),), parameters=Parameters()
    )

    answer = await provider.complete(request, caller_key=None)
    deltas, _ = await stream(provider, request)

    assert answer.message.text == text
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == text


@pytest.mark.parametrize(
    "provider", [None, *(s for s in SUBJECTS if s.says_nothing)], indirect=True
)
async def test_no_text(provider: Provider) -> None:
    """Where nothing may be said, nothing comes back. Some dialects have no empty texts."""
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


@pytest.mark.parametrize("chunked", [False, True], ids=["closed", "chunked"])
@pytest.mark.parametrize(
    ("subject", "recording"),
    [
        pytest.param(subject, recording, id=f"{subject.name}-{recording.name}")
        for subject in SUBJECTS
        for recording in subject.recordings
    ],
)
async def test_cut_at_every_byte(
    upstream: Upstream, subject: Subject, recording: Recording, chunked: bool
) -> None:
    """Wherever a connection ends inside of an answer, it is an error; what was told is a prefix."""
    sent = b""

    async def cut(exchange: Exchange) -> None:
        await exchange.begin_stream(content_type=subject.dialect.stream_type, chunked=chunked)
        framed = b"%x\r\n%s\r\n" % (len(sent), sent) if chunked and sent else sent
        is_whole = sent == recording.body
        await exchange.send(framed + b"0\r\n\r\n" if chunked and is_whole else framed)
        exchange.writer.close()

    upstream.answer = cut
    transport = DirectTransport(tls=ssl.create_default_context())
    provider = provider_of(subject, upstream, transport)
    sent = recording.body
    texts = [d.text for d in (await stream(provider, REQUEST))[0] if isinstance(d, TextDelta)]
    whole = "".join(texts)
    # The connection of the whole one may be kept, and is at its end.
    await transport.aclose()
    transport = DirectTransport(tls=ssl.create_default_context())
    provider = provider_of(subject, upstream, transport)

    for offset in range(recording.ends_at):
        sent, seen = recording.body[:offset], list[Delta]()

        async def emit(more: Sequence[Delta], seen: list[Delta] = seen) -> None:
            seen.extend(more)

        with pytest.raises(UpstreamError) as caught:
            await provider.stream(REQUEST, emit, caller_key=None)
        assert caught.value.reason in (Reason.UPSTREAM_TRUNCATED, Reason.UPSTREAM_PROTOCOL)
        text = "".join(delta.text for delta in seen if isinstance(delta, TextDelta))
        assert whole.startswith(text)
    await transport.aclose()


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
