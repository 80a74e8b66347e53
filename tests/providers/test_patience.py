"""A provider that takes its time is given up when that is due, however busy it seems."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from prompt_resolver_server.domain.answers import Delta
from prompt_resolver_server.providers.remote import RemoteProvider
from prompt_resolver_server.providers.transport.transport import Timeouts
from tests.providers.test_remote import (
    REQUEST,
    TRANSPORTS,
    AnyTransport,
    failure_of,
    make_transport,
    provider_at,
    transport,
)
from tests.support.lies import drip
from tests.support.unreachable import silent_server
from tests.support.upstream import Exchange, Upstream, openai_events, running_upstream

__all__ = ["make_transport", "transport"]

SOON = Timeouts(connect_s=0.2, first_byte_s=0.2, idle_s=0.2)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

modes = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@modes
@pytest.mark.parametrize(
    ("sent", "phase"),
    [
        (b"", "first_byte"),
        (JSON, "first_byte"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "first_byte"),
        (JSON + b"Content-Length: 1000\r\n\r\n", "idle"),
        (JSON + b'Content-Length: 1000\r\n\r\n{"choices"', "idle"),
        (STREAM, "idle"),
        (STREAM + openai_events("Hello")[0], "idle"),
        (STREAM + b"".join(openai_events("Hello")[:3]), "idle"),
    ],
)
async def test_silence(
    transport: AnyTransport, upstream: Upstream, sent: bytes, phase: str, stream: bool
) -> None:
    """Silence is a timeout, wherever it sets in, and tells what was waited for."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(sent)
        await exchange.wait_closed()

    upstream.answer = answer
    provider = provider_at(upstream.url, transport, timeouts=SOON)

    error = await failure_of(provider, stream=stream)

    assert (error.reason, error.metadata["phase"]) == ("UPSTREAM_TIMEOUT", phase)


@modes
@pytest.mark.parametrize(
    ("beginning", "part"),
    [(b"HTTP/1.1 200 OK\r\nX: ", b"y"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["header", "interim responses"],
)
async def test_drip_before_the_answer(
    transport: AnyTransport, upstream: Upstream, beginning: bytes, part: bytes, stream: bool
) -> None:
    """An answer has to begin in time: what comes drop by drop before that does not count."""
    upstream.answer = drip(beginning, part)
    provider = provider_at(upstream.url, transport, timeouts=SOON)

    error = await failure_of(provider, stream=stream)

    assert (error.reason, error.metadata["phase"]) == ("UPSTREAM_TIMEOUT", "first_byte")


@modes
@pytest.mark.parametrize(
    ("beginning", "part"),
    [(JSON + b"Content-Length: 1000\r\n\r\n", b" "), (STREAM + b"data: ", b"x"), (STREAM, b":\n")],
    ids=["body", "event", "comments"],
)
async def test_drip(
    transport: AnyTransport, upstream: Upstream, beginning: bytes, part: bytes, stream: bool
) -> None:
    """An answer that comes drop by drop ends with its caller's deadline, as does its connection."""
    closed = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        try:
            await drip(beginning, part)(exchange)
        finally:
            closed.set()

    upstream.answer = answer
    provider = provider_at(upstream.url, transport)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await call(provider, stream=stream)
    async with asyncio.timeout(5):
        await closed.wait()


async def call(provider: RemoteProvider, *, stream: bool) -> None:
    async def emit(deltas: Sequence[Delta]) -> None:
        del deltas

    if stream:
        await provider.stream(REQUEST, emit, caller_key=None)
    else:
        await provider.complete(REQUEST, caller_key=None)


@modes
async def test_silence_in_a_handshake(transport: AnyTransport, stream: bool) -> None:
    """A secure connection that is not made in time is a timeout, and may be tried again."""
    async with silent_server() as silent:
        timeouts = Timeouts(connect_s=0.3, first_byte_s=5, idle_s=5)
        provider = provider_at(silent.url, transport, timeouts=timeouts)

        error = await failure_of(provider, stream=stream)

        assert (error.reason, error.metadata["phase"]) == ("UPSTREAM_TIMEOUT", "connect")
        async with asyncio.timeout(5):
            await silent.closed.get()


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_certificate_that_has_expired(name: str) -> None:
    """A certificate whose time is over is none, and nothing is said to who has it."""
    authority = trustme.CA()
    served, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ended = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_after=ended).configure_cert(served)
    authority.configure_trust(asked)
    transport = TRANSPORTS[name](asked)
    async with running_upstream(tls=served) as upstream:
        error = await failure_of(provider_at(upstream.url, transport))
        await transport.aclose()

    assert error.reason == "UPSTREAM_TLS"
    assert upstream.exchanges == []
