"""A provider on a raw socket: sends exactly the bytes that a test says."""

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Exchange:
    """One request, and the connection on which it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed_at: float | None = None

    @property
    def json(self) -> dict[str, object]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_response(
        self,
        body: bytes,
        *,
        status: str = "200 OK",
        content_type: str = "application/json",
        headers: str = "",
    ) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{headers}"
        await self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def begin_stream(
        self, *, chunked: bool = False, content_type: str = "text/event-stream"
    ) -> None:
        framing = "Transfer-Encoding: chunked" if chunked else "Connection: close"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n"
        await self.send(head.encode())

    def reset(self) -> None:
        """Cut the connection with a reset, as a crashed peer does."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def wait_closed(self) -> float:
        """Wait until the client has closed the connection, and return when that was."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.closed_at = time.perf_counter()
        return self.closed_at


Answer = Callable[[Exchange], Awaitable[None]]


@dataclass
class Upstream:
    """A provider. `answer` is called with every request; `exchanges` has them all."""

    url: str
    answer: Answer
    exchanges: list[Exchange] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    is_down: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def speak(self, answer: Answer) -> Self:
        """Answer so from now on, in a dialect whose base URL has no `/v1` at its end."""
        self.url = self.url.removesuffix("/v1")
        self.answer = answer
        return self

    def go_down(self) -> None:
        """Cut all connections, and those to come."""
        self.is_down = True
        for writer in self.writers:
            writer.transport.abort()


def answer_with(
    body: bytes,
    *,
    status: str = "200 OK",
    content_type: str = "application/json",
    headers: str = "",
) -> Answer:
    """Return a provider that answers with this, whole."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(
            body, status=status, content_type=content_type, headers=headers
        )

    return answer


def stream_of(*portions: bytes, content_type: str = "text/event-stream") -> Answer:
    """Return a provider that streams these portions and then hangs up."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(content_type=content_type)
        await exchange.send(b"".join(portions))
        exchange.writer.close()

    return answer


def openai_answer(text: str = "Hello", **changes: object) -> bytes:
    """Return a whole answer in OpenAI's dialect."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    return json.dumps({**answer, **changes}).encode()


def openai_events(*texts: str, finish: str = "stop", usage: bool = True) -> list[bytes]:
    """Return the events of a streamed answer in OpenAI's dialect, `[DONE]` included."""

    def event(**fields: object) -> bytes:
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        document = {**base, "model": "served-model", **fields}
        return b"data: " + json.dumps(document).encode() + b"\n\n"

    def choice(delta: dict[str, str], reason: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    events = [event(choices=choice({"role": "assistant", "content": ""}))]
    events += [event(choices=choice({"content": text})) for text in texts]
    events.append(event(choices=choice({}, finish)))
    if usage:
        counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        events.append(event(choices=[], usage=counts))
    return [*events, b"data: [DONE]\n\n"]


async def answer_openai(exchange: Exchange) -> None:
    """Answer as OpenAI would: whole or streamed, as was asked."""
    if exchange.json.get("stream"):
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hel", "lo")))
        exchange.writer.close()
    else:
        await exchange.send_response(openai_answer())


@asynccontextmanager
async def running_upstream(
    answer: Answer = answer_openai, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Upstream]:
    """Serve on a free port of loopback until the context ends."""
    connections: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        upstream.connections += 1
        upstream.writers.add(writer)
        try:
            if upstream.is_down:
                writer.transport.abort()
            while not writer.is_closing() and (exchange := await _read_request(reader, writer)):
                upstream.exchanges.append(exchange)
                upstream.arrived.set()
                await upstream.answer(exchange)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            connections.discard(task)
            upstream.writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme = "http" if tls is None else "https"
    upstream = Upstream(url=f"{scheme}://127.0.0.1:{port}/v1", answer=answer)
    try:
        yield upstream
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Exchange | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request_line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = request_line.split(" ")
    return Exchange(method, path, headers, body, reader, writer)
