"""A provider that sends more than anybody can use takes neither memory nor time from others."""

import asyncio
import gzip
import os
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest

from prompt_resolver_server.domain.answers import Delta
from prompt_resolver_server.domain.errors import UpstreamError
from tests.providers.test_remote import REQUEST, TRANSPORTS, AnyTransport, provider_at
from tests.support.firehose import Flow, firehose
from tests.support.turns import Turns
from tests.support.upstream import openai_events
from tests.support.vitals import forget_peak, vitals

HELD_S = 0.1
MEMORY_KIB = 64 * 1024

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CLOSE = b"Connection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BLANKS = b" " * 65536

FLOWS = {
    "body": Flow(head=JSON + b"Content-Length: 200000000\r\n\r\n", part=BLANKS),
    "chunks": Flow(head=JSON + CHUNKED, part=b"10000\r\n" + BLANKS + b"\r\n"),
    "items": Flow(head=JSON + CLOSE + b'{"choices": [{}', part=b",{}", size=15 << 20),
    "levels": Flow(head=JSON + CLOSE, part=b'{"a":', size=15 << 20),
    "compressed": Flow(
        head=JSON + b"Content-Encoding: gzip\r\n" + CLOSE, part=gzip.compress(b" " * (10 << 20))
    ),
    "error": Flow(head=b"HTTP/1.1 502 X\r\n" + CLOSE, part=BLANKS),
    "line": Flow(head=STREAM + CLOSE + b"data: ", part=BLANKS),
    "event": Flow(head=STREAM + CLOSE, part=b"data: x\n"),
    "name": Flow(head=STREAM + CLOSE, part=BLANKS),
    "headers": Flow(head=b"HTTP/1.1 200 OK\r\n", part=b"X: y\r\n"),
    "header": Flow(head=b"HTTP/1.1 200 OK\r\nX: ", part=BLANKS),
    # What ends with the caller's deadline, or at a limit that takes longer.
    "comments": Flow(head=STREAM + CLOSE, part=b":\n"),
    "events": Flow(head=STREAM + CLOSE, part=openai_events("x")[1]),
    "no events": Flow(head=STREAM + CLOSE, part=b"\n"),
    "bytes": Flow(head=STREAM + CHUNKED, part=b"1\r\n:\r\n"),
    # On the way through a proxy, aiohttp takes them one by one, without a limit of its own.
    "interim responses": Flow(head=b"", part=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": Flow(head=b"", part=b"HTTP/1.1 103 X\r\nX: y\r\n\r\n"),
}
BEFORE_AN_ANSWER = ("error", "header", "headers")
OF_OURS = ("interim responses", "early hints")


@pytest.mark.timed
@pytest.mark.parametrize(
    ("transport", "name"),
    [
        (each, name)
        for each in TRANSPORTS
        for name in FLOWS
        if each == "direct" or name not in OF_OURS
    ],
    indirect=["transport"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_bombs(transport: AnyTransport, name: str, stream: bool) -> None:
    """However much comes, it is no answer, it is not kept, and others have their turn."""

    async def emit(deltas: Sequence[Delta]) -> None:
        del deltas

    forget_peak(os.getpid())
    before = vitals(os.getpid()).memory_kib
    async with firehose(FLOWS[name]) as url:
        provider = provider_at(url, transport)
        with Turns() as turns, pytest.raises((UpstreamError, TimeoutError)) as caught:
            async with asyncio.timeout(1):
                if stream:
                    await provider.stream(REQUEST, emit, caller_key=None)
                else:
                    await provider.complete(REQUEST, caller_key=None)

    if isinstance(caught.value, UpstreamError):
        told = {"UPSTREAM_PROTOCOL"}
        if name in BEFORE_AN_ANSWER:
            told = {"UPSTREAM_UNAVAILABLE"} if name == "error" else {*told, "UPSTREAM_UNAVAILABLE"}
        assert caught.value.reason in told
    assert vitals(os.getpid()).peak_kib - before < MEMORY_KIB
    assert turns.longest_s < HELD_S


@pytest.fixture
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[AnyTransport]:
    """One of the transports."""
    transport = TRANSPORTS[request.param](ssl.create_default_context())
    yield transport
    await transport.aclose()
