"""The transport over connections of our own, where it does more than every transport."""

import asyncio
import gc
import os
import socket
import ssl
import weakref
from collections.abc import AsyncIterator

import pytest
import trustme

from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.transport import (
    Gathering,
    HttpRequest,
    Timeouts,
    TransportError,
)
from tests.support.upstream import Answer, Exchange, Upstream, answer_openai

TIMEOUTS = Timeouts(connect_s=5, first_byte_s=5, idle_s=5)
PATIENT = Gathering(up_to_s=60, unless=b"END")


@pytest.fixture
async def transport() -> AsyncIterator[DirectTransport]:
    transport = DirectTransport(tls=ssl.create_default_context())
    yield transport
    await transport.aclose()


def request(
    upstream: Upstream, *, body: bytes = b"{}", idle_s: float = 5, **headers: str
) -> HttpRequest:
    timeouts = Timeouts(connect_s=5, first_byte_s=5, idle_s=idle_s)
    return HttpRequest(url=f"{upstream.url}/x", headers=headers, body=body, timeouts=timeouts)


async def chunks(exchange: Exchange, *parts: bytes) -> None:
    """Send each part in a segment of its own, as far as that can be had."""
    for part in parts:
        await exchange.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await asyncio.sleep(0)


async def test_gathers_until_what_it_waits_for(
    transport: DirectTransport, upstream: Upstream
) -> None:
    """Who is in no hurry is given nothing before the part that it named, and then all of it."""
    read = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, b"1", b"2", b"3", b"the END")
        await read.wait()

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        body = await response.read_some(PATIENT)
        read.set()

    assert body == b"123the END"


async def test_gathers_until_the_end(transport: DirectTransport, upstream: Upstream) -> None:
    """The end of a body is waited for no longer than it takes to come."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, b"1", b"2", b"3")
        await exchange.send(b"0\r\n\r\n")

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        assert await response.read_some(PATIENT) == b"123"
        assert await response.read_some(PATIENT) == b""


async def test_gathers_no_longer_than_it_may(
    transport: DirectTransport, upstream: Upstream
) -> None:
    """What has come is given out once the time is up, and silence is still a timeout."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, b"1")
        await exchange.wait_closed()

    upstream.answer = answer
    with pytest.raises(TransportError) as caught:
        async with transport.post(request(upstream, idle_s=0.3)) as response:
            assert await response.read_some(Gathering(0.05, b"END")) == b"1"
            await response.read_some(Gathering(0.05, b"END"))

    assert (caught.value.kind, caught.value.phase) == ("timeout", "idle")


async def test_gathers_what_it_has_room_for(transport: DirectTransport, upstream: Upstream) -> None:
    """A body that is larger than what may wait is given out in parts, and none of it is lost."""
    sent = [bytes([65 + n % 26]) * 50_000 for n in range(20)]

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, *sent)
        await exchange.send(b"0\r\n\r\n")

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        got = [part async for part in _parts(response.read_some)]

    assert b"".join(got) == b"".join(sent)
    assert len(got) > 1


async def _parts(read_some: object) -> AsyncIterator[bytes]:
    assert callable(read_some)
    while part := await read_some(PATIENT):
        yield part


@pytest.mark.parametrize("ending", ["cut", "garbage"])
async def test_gathers_nothing_of_what_breaks(
    transport: DirectTransport, upstream: Upstream, ending: str
) -> None:
    """A body that breaks off is told as such, at once."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, b"1")
        if ending == "garbage":
            await exchange.send(b"nonsense\r\n")
            await exchange.wait_closed()
        exchange.writer.close()

    upstream.answer = answer
    with pytest.raises(TransportError) as caught:
        async with transport.post(request(upstream)) as response:
            while await response.read_some(PATIENT):
                pass

    assert caught.value.kind == "cut"


async def test_header_with_a_line_break(transport: DirectTransport, upstream: Upstream) -> None:
    """A key with a line break in it is not sent, as its rest would be a header of its own.

    Nor is one that is no text.
    """
    for value in ("a\r\nX: y", "a\nX: y", "a\rX", "a\0", "a\x1b", "a\x7f", "a\udc80"):
        with pytest.raises(TransportError) as caught:
            async with transport.post(request(upstream, Authorization=value)):
                pass
        assert caught.value.kind == "malformed"

    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "early",
    [
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2,
        b"HTTP/1.1 099 X\r\nContent-Length: 4\r\n\r\nevil",
    ],
)
async def test_interim_responses(
    transport: DirectTransport, upstream: Upstream, early: bytes
) -> None:
    """What comes before the response is not taken for it."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(early)
        await exchange.send_response(b"{}", headers="A: b\r\na: c\r\n")

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        assert (response.status, await response.read_all(10)) == (200, b"{}")
        told = [response.headers.get(name) for name in ("a", "x", "link")]
        assert told == ["b", None, None]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 300,
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 150,
        b"hello\r\n\r\n",
    ],
)
async def test_no_response(transport: DirectTransport, upstream: Upstream, nonsense: bytes) -> None:
    """What is no response is told as such, and its connection is closed."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(nonsense)
        await exchange.wait_closed()

    upstream.answer = answer
    with pytest.raises(TransportError) as caught:
        async with transport.post(request(upstream)):
            pass

    assert caught.value.kind == "malformed"


@pytest.mark.parametrize("parts", [(b"{12345678}",), (b"", b"{12345678}"), (b"{1234", b"5678}")])
async def test_body_that_is_read_at_once(
    transport: DirectTransport, upstream: Upstream, parts: tuple[bytes, ...]
) -> None:
    """A body is read whole, whether it came with its head or after it, and not if it is larger."""
    read = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
        await exchange.send(head + parts[0])
        if len(parts) > 1:
            await read.wait()
            await exchange.send(parts[1])

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        read.set()
        assert await response.read_all(10) == b"{12345678}"
        assert await response.read_all(10) == b""
    with pytest.raises(TransportError, match="too_large"):
        async with transport.post(request(upstream)) as response:
            await response.read_all(9)


async def test_response_that_nobody_asked_for(
    transport: DirectTransport, upstream: Upstream
) -> None:
    """A second response on a connection is not taken for that of the next request."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )

    upstream.answer = answer
    for _ in range(3):
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"
            assert response.headers.get("content-length") == "2"

    assert upstream.connections == 3


@pytest.mark.parametrize(
    "endless",
    [
        b"0\r\n" + b"X: y\r\n" * 300,
        b"0\r\nX: " + b"y" * 100_000,
        b"2;x=" + b"y" * 100_000,
        b"0" * 100_000,
    ],
    ids=["trailers", "trailer", "extension", "size"],
)
async def test_chunks_without_an_end(
    transport: DirectTransport, upstream: Upstream, endless: bytes
) -> None:
    """What goes with chunks is no part of the body, and is not read without a limit."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await exchange.send(b"2\r\n{}\r\n")
        await read.wait()
        await exchange.send(endless)
        await exchange.wait_closed()

    read = asyncio.Event()
    upstream.answer = answer
    with pytest.raises(TransportError) as caught:
        async with transport.post(request(upstream)) as response:
            assert await response.read_some() == b"{}"
            read.set()
            await response.read_some()

    assert caught.value.kind == "cut"
    assert len(response.headers) == 2


async def test_headers_that_repeat(transport: DirectTransport, upstream: Upstream) -> None:
    """A header that comes twice is what it was at first, and a trailer changes nothing."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nX: a\r\nX: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\nX: c\r\nY: d\r\n\r\n"
        )

    upstream.answer = answer
    async with transport.post(request(upstream)) as response:
        assert await response.read_all(10) == b"{}"
        assert (response.headers.get("x"), response.headers.get("y")) == ("a", None)


async def test_connection_that_is_to_be_closed(
    transport: DirectTransport, upstream: Upstream
) -> None:
    """A connection that its server says it closes is not used again."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", headers="Connection: close\r\n")

    upstream.answer = answer
    for _ in range(3):
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"
            assert await response.read_some() == b""

    assert upstream.connections == 3


async def close_unseen(exchange: Exchange) -> None:
    """Close a connection from its server's side."""
    number = os.dup(exchange.writer.get_extra_info("socket").fileno())
    with socket.socket(fileno=number) as same:
        same.shutdown(socket.SHUT_RDWR)


async def talk_unseen(exchange: Exchange) -> None:
    """Send what nobody asked for."""
    exchange.writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("meanwhile", [close_unseen, talk_unseen])
async def test_connection_that_has_just_ended(
    transport: DirectTransport, upstream: Upstream, meanwhile: Answer
) -> None:
    """A request does not go where nobody listens any more, even if the loop is yet to notice.

    It could not be sent again, as nobody could tell whether it had been read.
    """

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(b"{}")

    upstream.answer = answer
    for _ in range(3):
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"
        await meanwhile(upstream.exchanges[-1])

    assert len(upstream.exchanges) == upstream.connections == 3


@pytest.mark.parametrize(
    ("told", "connections"),
    [
        ("timeout=5, max=100", 1),
        ("max=100, timeout=60", 1),
        ("max=100", 1),
        ("timeout=soon", 1),
        ("timeout=1", 3),
        ("Timeout = 0", 3),
    ],
)
async def test_server_that_says_how_long_it_waits(
    transport: DirectTransport, upstream: Upstream, told: str, connections: int
) -> None:
    """A connection that its server may be about to close is not used again."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", headers=f"Keep-Alive: {told}\r\n")

    upstream.answer = answer
    for _ in range(3):
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"

    assert upstream.connections == connections


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_request_that_is_not_read(scheme: str) -> None:
    """A server that answers before it has read the request is told as such, and not asked again.

    What comes next on that connection would wait for the rest to be read.
    """

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\n{}")

    writers: list[asyncio.StreamWriter] = []
    authority = trustme.CA()
    served, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(asked)
    transport = DirectTransport(tls=asked)
    tls = served if scheme == "https" else None
    async with await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        upstream = Upstream(url=f"{scheme}://127.0.0.1:{port}", answer=answer_openai)
        for _ in range(3):
            async with transport.post(request(upstream, body=b" " * 8_000_000)) as response:
                assert (response.status, await response.read_all(10)) == (413, b"{}")
        await transport.aclose()
        for writer in writers:
            writer.transport.abort()

    assert len(writers) == 3


@pytest.mark.parametrize("when", ["seen out", "connecting"])
async def test_close_leaves_no_connection(upstream: Upstream, when: str) -> None:
    """Closing leaves no connection: not one that is to end, nor one that was being made.

    Nor is there one for who comes later.
    """

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        await chunks(exchange, b"{}")
        await exchange.wait_closed()
        closed.set()

    async def call() -> None:
        async with transport.post(request(upstream)) as response:
            assert await response.read_some() == b"{}"

    closed = asyncio.Event()
    upstream.answer = answer
    transport = DirectTransport(tls=ssl.create_default_context())
    if when == "connecting":
        calling = asyncio.create_task(call())
        await asyncio.sleep(0)
        await transport.aclose()
    else:
        await call()
        await transport.aclose()
        async with asyncio.timeout(5):
            await closed.wait()
        calling = asyncio.create_task(call())
    with pytest.raises(TransportError) as caught:
        await calling

    assert caught.value.kind == "unreachable"
    assert len(upstream.exchanges) == (0 if when == "connecting" else 1)


async def test_response_is_forgotten(transport: DirectTransport, upstream: Upstream) -> None:
    """A response goes once the next has come, and not only when garbage is looked for."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(b"{}")

    upstream.answer = answer
    gc.disable()
    try:
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"
            assert response._connection is not None
            first = weakref.ref(response._connection.response)
        async with transport.post(request(upstream)) as response:
            assert await response.read_all(10) == b"{}"
    finally:
        gc.enable()

    assert upstream.connections == 1
    assert first() is None
