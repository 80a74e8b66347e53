"""A provider's failures, as they come over a real socket, become our reasons."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from prompt_resolver_server.domain.answers import Delta, ModelRequest, Opened, TextDelta, Usage
from prompt_resolver_server.domain.errors import Blame, CallError, UpstreamError
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, Text
from prompt_resolver_server.providers.dialects.bedrock import BedrockDialect
from prompt_resolver_server.providers.dialects.openai.dialect import OpenAIDialect
from prompt_resolver_server.providers.endpoint import Endpoint
from prompt_resolver_server.providers.remote import MAX_BODY_BYTES, RemoteProvider
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.proxied import AiohttpTransport
from prompt_resolver_server.providers.transport.transport import Timeouts
from prompt_resolver_server.providers.wire.event_stream import EVENT_STREAM
from tests.support.bedrock import answer_bedrock, bedrock_texts
from tests.support.forward_proxy import running_proxy
from tests.support.unreachable import listener_with_full_queue
from tests.support.upstream import (
    Exchange,
    Upstream,
    answer_openai,
    answer_with,
    openai_answer,
    openai_events,
    running_upstream,
)

REQUEST = ModelRequest(
    model="m", messages=(Message(role="user", content=(Text("Hi"),)),), parameters=NO_PARAMETERS
)
TIMEOUTS = Timeouts(connect_s=5, first_byte_s=5, idle_s=5)


AnyTransport = DirectTransport | AiohttpTransport
TRANSPORTS: dict[str, Callable[[ssl.SSLContext], AnyTransport]] = {
    "direct": lambda tls: DirectTransport(tls=tls),
    "aiohttp": lambda tls: AiohttpTransport(tls=tls),
}


@pytest.fixture(params=TRANSPORTS)
def make_transport(request: pytest.FixtureRequest) -> Callable[[ssl.SSLContext], AnyTransport]:
    """Every transport there is: they all do the same."""
    return TRANSPORTS[request.param]


@pytest.fixture
async def transport(
    make_transport: Callable[[ssl.SSLContext], AnyTransport],
) -> AsyncIterator[AnyTransport]:
    transport = make_transport(ssl.create_default_context())
    yield transport
    await transport.aclose()


def provider_at(
    url: str,
    transport: AnyTransport,
    *,
    key: str | None = "the-key",
    key_required: bool = False,
    timeouts: Timeouts = TIMEOUTS,
    stream_completions: bool = True,
) -> RemoteProvider:
    endpoint = Endpoint(
        base_url=url,
        timeouts=timeouts,
        find_key=lambda: key,
        key_required=key_required,
        key_hint="providers.p.api_key",
        stream_completions=stream_completions,
    )
    return RemoteProvider(name="p", dialect=OpenAIDialect(), endpoint=endpoint, transport=transport)


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def provider(
    request: pytest.FixtureRequest, upstream: Upstream, transport: AnyTransport
) -> RemoteProvider:
    """A provider that has whole answers streamed, and one that has not."""
    return provider_at(upstream.url, transport, stream_completions=request.param)


async def failure_of(
    provider: RemoteProvider, *, stream: bool = False, caller_key: str | None = None
) -> UpstreamError:
    async def emit(deltas: Sequence[Delta]) -> None:
        del deltas

    with pytest.raises(UpstreamError) as caught:
        if stream:
            await provider.stream(REQUEST, emit, caller_key=caller_key)
        else:
            await provider.complete(REQUEST, caller_key=caller_key)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b"", "UPSTREAM_REJECTED"),
        (400, b'{"error": {"code": "context_length_exceeded"}}', "CONTEXT_LENGTH"),
        (400, b'{"error": {"code": 400, "type": "exceed_context_size_error"}}', "CONTEXT_LENGTH"),
        (400, b'{"error": {"code": "content_policy_violation"}}', "CONTENT_BLOCKED"),
        (401, b"", "UPSTREAM_AUTH"),
        (402, b"", "UPSTREAM_QUOTA"),
        (403, b"", "UPSTREAM_AUTH"),
        (404, b'{"error": {"code": "model_not_found"}}', "MODEL_NOT_FOUND"),
        (404, b"<html>", "MODEL_NOT_FOUND"),
        (408, b"", "UPSTREAM_TIMEOUT"),
        (409, b"", "UPSTREAM_REJECTED"),
        (413, b"", "REQUEST_TOO_LARGE"),
        (422, b"[]", "UPSTREAM_REJECTED"),
        (429, b"", "UPSTREAM_RATE_LIMITED"),
        (429, b'{"error": {"type": "insufficient_quota"}}', "UPSTREAM_QUOTA"),
        (429, b'{"error": "text"}', "UPSTREAM_RATE_LIMITED"),
        (500, b"", "UPSTREAM_UNAVAILABLE"),
        (502, b"", "UPSTREAM_UNAVAILABLE"),
        (503, b"", "UPSTREAM_UNAVAILABLE"),
        (503, b'{"error": {"type": "overloaded_error"}}', "UPSTREAM_OVERLOADED"),
        (504, b"", "UPSTREAM_TIMEOUT"),
        (504, b'{"error": {"type": "server_error"}}', "UPSTREAM_TIMEOUT"),
        (529, b"", "UPSTREAM_OVERLOADED"),
        (529, b'{"error": {"type": "server_error"}}', "UPSTREAM_OVERLOADED"),
        (201, b"", "UPSTREAM_PROTOCOL"),
        (204, b"", "UPSTREAM_PROTOCOL"),
        (301, b"", "UPSTREAM_PROTOCOL"),
    ],
)
async def test_statuses(
    provider: RemoteProvider,
    upstream: Upstream,
    status: int,
    body: bytes,
    reason: str,
    stream: bool,
) -> None:
    """Every status has its reason, which a known code in the body makes more precise."""
    upstream.answer = answer_with(body, status=f"{status} X")

    error = await failure_of(provider, stream=stream)

    assert error.reason == reason
    assert error.metadata["http_status"] == str(status)


@pytest.mark.parametrize(("status", "blame"), [(401, Blame.CALLER), (403, Blame.CALLER_DENIED)])
async def test_callers_key_that_is_refused(
    provider: RemoteProvider, upstream: Upstream, status: int, blame: Blame
) -> None:
    """A refusal of the caller's own key is the caller's affair."""
    upstream.answer = answer_with(b"", status=f"{status} X")

    error = await failure_of(provider, caller_key="mine")

    assert (error.reason, error.blame) == ("UPSTREAM_AUTH_CALLER_KEY", blame)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Retry-After: 7\r\n", 7.0),
        ("Retry-After: 0.5\r\n", 0.5),
        ("retry-after-ms: 1500\r\nRetry-After: 9\r\n", 1.5),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: -1\r\n", None),
        ("Retry-After: 1e9\r\n", 1e6),
        ("Retry-After: inf\r\n", 1e6),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 1e6),
        ("retry-after-ms: 1e99\r\n", 1e6),
        ("retry-after-ms: soon\r\nRetry-After: 9\r\n", 9.0),
        ("retry-after-ms: -5\r\nRetry-After: 9\r\n", 9.0),
        ("retry-after-ms: \r\nRetry-After: 9\r\n", 9.0),
        ("Retry-After: Thu, 01 Jan 2026 00:00:00 +99999999999999999999\r\n", None),
        ("Retry-After: nan\r\n", None),
        ("Retry-After: \r\n", None),
        ("", None),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 0.0),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 -0000\r\n", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after(
    provider: RemoteProvider, upstream: Upstream, header: str, expected: float | None, status: int
) -> None:
    """The time that a provider asks to wait is told, in all its forms; nonsense is not."""
    upstream.answer = answer_with(b"", status=f"{status} X", headers=header)

    assert (await failure_of(provider)).retry_after_s == expected


async def test_retry_after_a_date(provider: RemoteProvider, upstream: Upstream) -> None:
    """A date to come is told as the seconds until then."""
    moment = datetime.now(UTC) + timedelta(seconds=100)

    async def answer(exchange: Exchange) -> None:
        header = f"Retry-After: {format_datetime(moment, usegmt=True)}\r\n"
        await exchange.send_response(b"", status="429 X", headers=header)

    upstream.answer = answer

    waited_s = (await failure_of(provider)).retry_after_s
    assert waited_s is not None
    assert 90 < waited_s <= 100


@pytest.mark.parametrize(
    ("body", "header", "expected"),
    [
        ({"error": {"details": [{"links": []}, {"retryDelay": "10.5s"}]}}, "", 10.5),
        ([{"error": {"details": [{"retryDelay": "7s"}]}}], "", 7.0),
        ({"error": {"details": [{"retryDelay": "7s"}]}}, "Retry-After: 2\r\n", 2.0),
        ({"error": {"details": [1, {"retryDelay": 7}, {"retryDelay": "soon"}]}}, "", None),
        ({"error": {"details": {"retryDelay": "7s"}}}, "", None),
        ({"error": "retryDelay"}, "", None),
        ([], "", None),
    ],
)
async def test_retry_delay(
    provider: RemoteProvider, upstream: Upstream, body: object, header: str, expected: float | None
) -> None:
    """The time that Google's APIs ask to wait is in the body; a header says more."""
    upstream.answer = answer_with(json.dumps(body).encode(), status="429 X", headers=header)

    assert (await failure_of(provider)).retry_after_s == expected


async def test_no_retry_after_used_up(provider: RemoteProvider, upstream: Upstream) -> None:
    """A quota that is used up is not waited for, whatever the header says."""

    async def answer(exchange: Exchange) -> None:
        body = b'{"error": {"code": "insufficient_quota"}}'
        await exchange.send_response(body, status="429 X", headers="Retry-After: 7\r\n")

    upstream.answer = answer

    assert (await failure_of(provider)).retry_after_s is None


async def test_nobody_there(transport: AnyTransport) -> None:
    """A port where nobody listens is unavailable."""
    provider = provider_at("http://127.0.0.1:1/v1", transport)

    error = await failure_of(provider)

    assert (error.reason, error.metadata["problem"]) == ("UPSTREAM_UNAVAILABLE", "refused")


async def test_host_that_is_unknown(transport: AnyTransport) -> None:
    """A name that resolves to nothing is unavailable."""
    provider = provider_at("http://nowhere.invalid/v1", transport)

    error = await failure_of(provider)

    assert (error.reason, error.metadata["problem"]) == ("UPSTREAM_UNAVAILABLE", "name")


async def test_connection_that_ends_without_an_answer(
    provider: RemoteProvider, upstream: Upstream
) -> None:
    """Who takes a request and closes the connection may have worked on it, which is told."""

    async def close(exchange: Exchange) -> None:
        exchange.writer.close()

    upstream.answer = close

    error = await failure_of(provider)

    assert (error.reason, error.metadata["problem"]) == ("UPSTREAM_UNAVAILABLE", "closed")


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 70])
async def test_host_that_cannot_be(transport: AnyTransport, host: str) -> None:
    """A name that none can be is no fault of this server."""
    provider = provider_at(f"http://{host}/v1", transport)

    assert (await failure_of(provider)).reason in ("UPSTREAM_UNAVAILABLE", "UPSTREAM_PROTOCOL")


async def test_connection_that_is_never_made(transport: AnyTransport) -> None:
    """A connection that is not made in time is a timeout, told as one."""
    with listener_with_full_queue() as port:
        timeouts = Timeouts(connect_s=0.2, first_byte_s=5, idle_s=5)
        provider = provider_at(f"http://127.0.0.1:{port}/v1", transport, timeouts=timeouts)

        error = await failure_of(provider)

    assert (error.reason, error.metadata["phase"]) == ("UPSTREAM_TIMEOUT", "connect")


async def test_tls_that_stalls(transport: AnyTransport) -> None:
    """A server that accepts a connection and never shakes hands is a timeout of the connection."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        timeouts = Timeouts(connect_s=0.2, first_byte_s=30, idle_s=30)
        provider = provider_at(f"https://127.0.0.1:{port}/v1", transport, timeouts=timeouts)

        error = await failure_of(provider)

    assert (error.reason, error.metadata["phase"]) == ("UPSTREAM_TIMEOUT", "connect")


async def test_no_tls_where_it_is_expected(transport: AnyTransport) -> None:
    """A server that does not speak TLS under https is told as such."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 hello\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        error = await failure_of(provider_at(f"https://127.0.0.1:{port}/v1", transport))

    assert error.reason == "UPSTREAM_TLS"


@pytest.mark.parametrize(
    ("trusted", "host", "reason"),
    [
        (True, "127.0.0.1", ""),
        (False, "127.0.0.1", "UPSTREAM_TLS"),
        (True, "other.invalid", "UPSTREAM_TLS"),
    ],
)
async def test_certificates(
    make_transport: Callable[[ssl.SSLContext], AnyTransport], trusted: bool, host: str, reason: str
) -> None:
    """A provider's certificate must be trusted, and be its own; then it is spoken to."""
    authority = trustme.CA()
    served, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(served)
    if trusted:
        authority.configure_trust(asked)
    transport = make_transport(asked)
    try:
        async with running_upstream(tls=served) as upstream:
            provider = provider_at(upstream.url, transport)

            if reason:
                assert (await failure_of(provider)).reason == reason
                assert upstream.exchanges == []
            else:
                assert await provider.complete(REQUEST, caller_key=None)
    finally:
        await transport.aclose()


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00\x01\x02"])
async def test_no_http(provider: RemoteProvider, upstream: Upstream, sent: bytes) -> None:
    """What is no HTTP is not the protocol."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(sent)
        exchange.writer.close()

    upstream.answer = answer

    assert (await failure_of(provider)).reason in ("UPSTREAM_PROTOCOL", "UPSTREAM_UNAVAILABLE")


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200\nContent-Type: application/json\nContent-Length: %d\n\n%b",
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x  \r\n%b\r\n0\r\n\r\n"
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: a\r\n  b\r\n"
            b"Y: \x01\r\nContent-Length: %d\r\n\r\n%b"
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: text/html\r\n"
            b"Content-Length: %d\r\n\r\n%b"
        ),
    ],
    ids=["newlines", "chunk's size", "headers", "types"],
)
async def test_http_that_is_not_to_the_letter(
    provider: RemoteProvider, upstream: Upstream, sent: bytes
) -> None:
    """An answer is understood where it is clear what is meant."""

    async def answer(exchange: Exchange) -> None:
        body = openai_answer()
        await exchange.send(sent % (len(body), body))

    upstream.answer = answer

    assert (await provider.complete(REQUEST, caller_key=None)).message.text == "Hello"


@pytest.mark.parametrize("content_type", ["text/html", "", "application/xml"])
async def test_other_content(
    provider: RemoteProvider, upstream: Upstream, content_type: str
) -> None:
    """Content of another type is not the protocol, even if it could be read."""
    upstream.answer = answer_with(openai_answer(), content_type=content_type)
    error = await failure_of(provider)

    assert error.reason == "UPSTREAM_PROTOCOL"
    assert error.metadata == {"provider": "p", "problem": "expected application/json"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "x"])
async def test_encoding_that_was_not_asked_for(
    provider: RemoteProvider, upstream: Upstream, encoding: str
) -> None:
    """Content in an encoding is not the protocol, as none was asked for."""

    async def answer(exchange: Exchange) -> None:
        headers = f"Content-Encoding: {encoding}\r\n"
        await exchange.send_response(openai_answer(), headers=headers)

    upstream.answer = answer

    assert (await failure_of(provider)).reason == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_encoding_that_is_none(
    provider: RemoteProvider, upstream: Upstream, encoding: str
) -> None:
    """Content that is said to be as it is, is."""

    async def answer(exchange: Exchange) -> None:
        headers = f"Content-Encoding: {encoding}\r\n"
        await exchange.send_response(openai_answer(), headers=headers)

    upstream.answer = answer

    assert (await provider.complete(REQUEST, caller_key=None)).message.text == "Hello"


async def test_body_that_is_too_large(provider: RemoteProvider, upstream: Upstream) -> None:
    """A body is read up to a limit, and no further."""

    async def answer(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        await exchange.send(head)
        sent = 0
        while sent < 4 * MAX_BODY_BYTES:
            await exchange.send(b" " * 65536)
            sent += 65536

    upstream.answer = answer
    error = await failure_of(provider)

    assert error.reason == "UPSTREAM_PROTOCOL"
    assert error.metadata["problem"] == "an answer that is too large"


async def test_error_with_an_endless_body(provider: RemoteProvider, upstream: Upstream) -> None:
    """An error keeps its status, however much comes with it."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 429 X\r\nConnection: close\r\n\r\n")
        while True:
            await exchange.send(b" " * 65536)

    upstream.answer = answer

    assert (await failure_of(provider)).reason == "UPSTREAM_RATE_LIMITED"


async def test_key_that_is_missing(upstream: Upstream, transport: AnyTransport) -> None:
    """A provider that needs a key is not called without one; others are."""
    needing = provider_at(upstream.url, transport, key=None, key_required=True)
    other = provider_at(upstream.url, transport, key=None)

    with pytest.raises(CallError) as caught:
        await needing.complete(REQUEST, caller_key=None)
    await needing.complete(REQUEST, caller_key="mine")
    await other.complete(REQUEST, caller_key=None)

    assert caught.value.reason == "PROVIDER_KEY_MISSING"
    assert [each.headers.get("authorization") for each in upstream.exchanges] == [
        "Bearer mine",
        None,
    ]


@pytest.mark.parametrize("key", ["a\nX-More: 1", "a\r\n\r\n", "a\x00", "\ufeffa", "clé"])
async def test_key_that_cannot_be_sent(
    upstream: Upstream, transport: AnyTransport, key: str
) -> None:
    """A key with something in it that no header may have is told as the fault, and to nobody."""
    provider = provider_at(upstream.url, transport, key=key)

    with pytest.raises(CallError) as caught:
        await provider.complete(REQUEST, caller_key=None)

    assert caught.value.reason == "PROVIDER_KEY_MISSING"
    assert caught.value.message == (
        "provider 'p' has a key that cannot be sent:"
        " expected printable ASCII in providers.p.api_key"
    )
    assert upstream.exchanges == []


async def test_connections_are_reused(transport: AnyTransport, upstream: Upstream) -> None:
    """Calls in turn travel on one connection, even where a stream's last bytes come late."""
    provider = provider_at(upstream.url, transport)

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        for event in openai_events("Hello"):
            await exchange.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await asked_again.wait()
        await exchange.send(b"0\r\n\r\n")

    upstream.answer = answer
    for _ in range(5):
        asked_again = asyncio.Event()
        await provider.complete(REQUEST, caller_key=None)
        asked_again.set()
        while transport._endings:
            await asyncio.gather(*transport._endings)

    assert len(upstream.exchanges) == 5
    assert upstream.connections == 1


async def test_stream_that_does_not_end(transport: AnyTransport, upstream: Upstream) -> None:
    """A stream that goes on after its terminal marker is closed, and nobody waits for that."""
    provider = provider_at(upstream.url, transport)
    closed = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hello")))
        await exchange.wait_closed()
        closed.set()

    upstream.answer = answer

    answered = await provider.complete(REQUEST, caller_key=None)

    assert answered.message.text == "Hello"
    assert not closed.is_set()
    await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize("stream_completions", [True, False])
async def test_whole_answers(
    upstream: Upstream, transport: AnyTransport, stream_completions: bool
) -> None:
    """A whole answer is the same, whether the provider streams it or not."""
    provider = provider_at(upstream.url, transport, stream_completions=stream_completions)

    answer = await provider.complete(REQUEST, caller_key=None)

    assert upstream.exchanges[0].json.get("stream", False) == stream_completions
    assert (answer.id, answer.message.text) == ("chatcmpl-1", "Hello")
    assert (answer.finish.reason, answer.finish.model) == ("stop", "served-model")
    assert answer.finish.usage == Usage(input_tokens=5, output_tokens=2)


async def test_provider_that_does_not_stream(provider: RemoteProvider, upstream: Upstream) -> None:
    """A whole answer where a stream was asked for is an answer all the same."""
    upstream.answer = answer_with(openai_answer())

    assert (await provider.complete(REQUEST, caller_key=None)).message.text == "Hello"
    error = await failure_of(provider, stream=True)
    assert error.reason == "UPSTREAM_PROTOCOL"
    assert error.metadata["problem"] == "expected text/event-stream"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects(provider: RemoteProvider, upstream: Upstream, status: int) -> None:
    """A redirect is not followed, and nobody else is told the key."""
    async with running_upstream() as other:

        async def answer(exchange: Exchange) -> None:
            header = f"Location: {other.url}/chat/completions\r\n"
            await exchange.send_response(b"", status=f"{status} X", headers=header)

        upstream.answer = answer

        for stream in (False, True):
            assert (await failure_of(provider, stream=stream)).reason == "UPSTREAM_PROTOCOL"
        assert (len(upstream.exchanges), other.connections) == (2, 0)


async def test_cookies_are_not_kept(provider: RemoteProvider, upstream: Upstream) -> None:
    """What one answer sets does not travel with the next request."""
    upstream.answer = answer_with(openai_answer(), headers="Set-Cookie: a=b\r\n")

    for _ in range(2):
        await provider.complete(REQUEST, caller_key=None)

    assert "cookie" not in upstream.exchanges[1].headers


async def test_request_says_who_it_is_from(provider: RemoteProvider, upstream: Upstream) -> None:
    """A request says who asks, and what it takes."""
    await provider.complete(REQUEST, caller_key=None)

    headers = upstream.exchanges[0].headers
    assert headers["user-agent"] == "prompt-resolver"
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"


async def test_proxy(upstream: Upstream) -> None:
    """A configured proxy is used for what it is configured for."""
    transport = AiohttpTransport(
        tls=ssl.create_default_context(),
        find_proxy=lambda url: upstream.url.removesuffix("/v1") if "api.invalid" in url else None,
    )
    upstream.answer = answer_openai
    try:
        await provider_at("http://api.invalid/v1", transport).complete(REQUEST, caller_key=None)
    finally:
        await transport.aclose()

    assert upstream.exchanges[0].path == "http://api.invalid/v1/chat/completions"


@pytest.mark.parametrize("is_there", [True, False])
async def test_proxy_that_lets_nobody_through(is_there: bool) -> None:
    """A proxy that cannot be reached, or refuses to connect, is told as the cause."""
    async with running_proxy({}) as proxy:
        url = proxy.url if is_there else "http://127.0.0.1:1"
        transport = AiohttpTransport(tls=ssl.create_default_context(), find_proxy=lambda _: url)
        error = await failure_of(provider_at("https://api.invalid/v1", transport))
        await transport.aclose()

    assert (error.reason, error.metadata["problem"]) == ("UPSTREAM_UNAVAILABLE", "proxy")
    assert proxy.asked == ["".join(proxy.asked)] * is_there


@pytest.mark.parametrize("by_proxy", [True, False])
async def test_proxy_that_wants_to_know_who_asks(upstream: Upstream, by_proxy: bool) -> None:
    """A proxy that passes plain requests on may refuse, too; nobody else is one who says that."""
    upstream.answer = answer_with(b"", status="407 X", headers="Proxy-Authenticate: Basic\r\n")
    proxy = upstream.url.removesuffix("/v1") if by_proxy else None
    url = "http://api.invalid/v1" if by_proxy else upstream.url
    transport = AiohttpTransport(tls=ssl.create_default_context(), find_proxy=lambda _: proxy)
    error = await failure_of(provider_at(url, transport))
    await transport.aclose()

    problem = ("UPSTREAM_UNAVAILABLE", "proxy") if by_proxy else ("UPSTREAM_REJECTED", None)
    assert (error.reason, error.metadata.get("problem")) == problem


async def test_error_whose_body_does_not_come(upstream: Upstream, transport: AnyTransport) -> None:
    """A status says enough: an error's body that does not end is not waited for."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 1000\r\n\r\n{")
        await exchange.wait_closed()

    upstream.answer = answer
    async with asyncio.timeout(4):
        error = await failure_of(provider_at(upstream.url, transport))

    assert (error.reason, error.retry_after_s) == ("UPSTREAM_RATE_LIMITED", 7.0)


async def test_stream_without_an_end(upstream: Upstream, transport: AnyTransport) -> None:
    """A stream is read up to a limit, however well formed each of its events is."""
    event = openai_events("x" * 1_000_000)[1]

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.send(event)

    upstream.answer = answer
    async with asyncio.timeout(60):
        error = await failure_of(provider_at(upstream.url, transport))

    assert error.reason == "UPSTREAM_PROTOCOL"


async def test_model_that_is_not_named(upstream: Upstream, transport: AnyTransport) -> None:
    """Where the provider does not name the model, it is the one that was asked."""
    provider = bedrock_at(upstream, transport)
    opened: list[Delta] = []

    async def emit(deltas: Sequence[Delta]) -> None:
        opened.extend(deltas[:1])

    upstream.answer = answer_bedrock
    finish = await provider.stream(REQUEST, emit, caller_key=None)
    answered = await provider.complete(REQUEST, caller_key=None)

    assert (finish.model, answered.finish.model) == ("m", "m")
    assert opened[0] == Opened(id="", model="m")


async def test_word_for_the_end(provider: RemoteProvider, upstream: Upstream) -> None:
    """The provider's word for the end of an answer is kept as far as it may be a word."""

    async def answer(exchange: Exchange) -> None:
        whole, events = openai_answer(), b"".join(openai_events("Hello"))
        if exchange.json.get("stream"):
            await exchange.begin_stream()
            await exchange.send(events.replace(b'"stop"', b'"%s"' % (b"w" * 1000)))
            exchange.writer.close()
        else:
            await exchange.send_response(whole.replace(b'"stop"', b'"%s"' % (b"w" * 1000)))

    upstream.answer = answer
    finish = (await provider.complete(REQUEST, caller_key=None)).finish

    assert (finish.reason, finish.raw_reason) == ("other", "w" * 64)


@pytest.mark.parametrize("end", ["closed", "reset", "silent", "endless"])
async def test_end_after_a_complete_answer(
    upstream: Upstream, transport: AnyTransport, end: str
) -> None:
    """An answer that is complete is one, even where nothing comes of what may follow it."""
    *messages, usage = bedrock_texts("Hello")

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True, content_type=EVENT_STREAM)
        body = b"".join(messages) + usage[:10]
        await exchange.send(b"%x\r\n%s\r\n" % (len(body), body))
        match end:
            case "closed":
                exchange.writer.close()
            case "reset":
                await told.wait()
                exchange.reset()
            case "silent":
                await exchange.wait_closed()
            case _:
                await exchange.send(b"ffffffff\r\n" + b"a" * 100)
                await exchange.wait_closed()

    async def emit(deltas: Sequence[Delta]) -> None:
        texts.extend(delta.text for delta in deltas if isinstance(delta, TextDelta))
        told.set()

    texts, told = list[str](), asyncio.Event()
    upstream.answer = answer

    finish = await bedrock_at(upstream, transport, idle_s=0.3).stream(
        REQUEST, emit, caller_key=None
    )

    assert (texts, finish.reason, finish.usage) == (["Hello"], "stop", None)


def bedrock_at(upstream: Upstream, transport: AnyTransport, *, idle_s: float = 5) -> RemoteProvider:
    """Return a provider whose answers are complete before they end."""
    endpoint = Endpoint(
        base_url=upstream.url,
        timeouts=Timeouts(connect_s=5, first_byte_s=5, idle_s=idle_s),
        find_key=lambda: "key-of-fake",
        key_required=True,
    )
    return RemoteProvider(
        name="p", dialect=BedrockDialect(), endpoint=endpoint, transport=transport
    )
