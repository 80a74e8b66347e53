"""Answers of a provider in OpenAI's dialect that are none, or not to their end."""

import asyncio
import gzip
from collections.abc import Callable

from tests.support.upstream import Answer, Exchange, openai_answer, openai_events

HTML = b"<!doctype html><html><body><h1>%b</h1></body></html>"
DRIP_S = 0.05


def body(
    data: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> Answer:
    """Send a whole body."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(data, status=status, content_type=kind, headers=lines)

    return answer


def events(*data: bytes) -> Answer:
    """Send a stream, and end it as its framing says that it ends."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        for each in data:
            await exchange.send(b"%x\r\n%b\r\n" % (len(each), each))
        await exchange.send(b"0\r\n\r\n")

    return answer


def cut(*data: bytes, how: Callable[[Exchange], None]) -> Answer:
    """Send something, and then no more."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"".join(data))
        how(exchange)

    return answer


def close(exchange: Exchange) -> None:
    exchange.writer.close()


def reset(exchange: Exchange) -> None:
    exchange.reset()


def drip(beginning: bytes, part: bytes) -> Answer:
    """Send a beginning, and then a little from time to time, without an end."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(beginning)
        while True:
            await exchange.send(part)
            await asyncio.sleep(DRIP_S)

    return answer


_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_EVENTS = openai_events("Hel", "lo")
_HALF = openai_answer()[:60]
_WHOLE = b"Content-Length: %d\r\n\r\n" % len(openai_answer())
_CHUNK = b"%x\r\n%b" % (len(_EVENTS[0]), _EVENTS[0])


def lies(word: bytes = b"Bad gateway") -> dict[str, tuple[Answer, str]]:
    """Return all of them with their reasons; whatever they say has a word in it."""
    error = b'{"error": {"message": "%b", "type": "%b", "code": "%b"}}' % (word, word, word)
    said = openai_answer(word.decode())
    html = HTML % word
    protocol, failed, cut_off = "UPSTREAM_PROTOCOL", "UPSTREAM_UNAVAILABLE", "UPSTREAM_TRUNCATED"
    told: dict[str, tuple[Answer, str]] = {
        "html": (body(html, kind="text/html"), protocol),
        "html as json": (body(html), protocol),
        "html as a stream": (body(html, kind="text/event-stream"), cut_off),
        "html under 502": (body(html, "502 X", "text/html"), failed),
        "html under 404": (body(html, "404 X", "text/html"), "MODEL_NOT_FOUND"),
        "html under 429": (body(html, "429 X", "text/html"), "UPSTREAM_RATE_LIMITED"),
        "nothing": (body(b""), protocol),
        "nothing as a stream": (body(b"", kind="text/event-stream"), cut_off),
        "no content": (body(b"", "204 No Content"), protocol),
        "half of a document": (body(said[: len(said) // 2]), protocol),
        "two documents": (body(said + said), protocol),
        "null": (body(b"null"), protocol),
        "a list": (body(b"[%b]" % said), protocol),
        "an empty object": (body(b"{}"), protocol),
        "no choices": (body(openai_answer(choices=[])), protocol),
        "utf-16": (body(said.decode().encode("utf-16")), protocol),
        "no text": (body(b"\xff\xfe" + said), protocol),
        "a text in latin-1": (body(said.replace(word, word + b"\xe9")), protocol),
        "an error under 200": (body(error), protocol),
        "an error in a stream": (events(b"data: %b\n\n" % error), protocol),
        "compressed": (body(gzip.compress(said), Content_Encoding="gzip"), protocol),
        "compressed in secret": (body(gzip.compress(said)), protocol),
        "moved": (body(said, "302 Found", Location=f"/{word.decode()}"), protocol),
        "partial": (body(said, "206 Partial Content"), protocol),
        "half of an event": (events(*_EVENTS[:2], _EVENTS[2][:30]), protocol),
        "no json in a stream": (events(_EVENTS[0], b"data: {%b\n\n" % word), protocol),
        "html in a stream": (events(_EVENTS[0], b"data: %b\n\n" % html), protocol),
        "no text in a stream": (events(_EVENTS[0], b'data: {"choices": "\xff"}\n\n'), protocol),
        "no end of a stream": (events(*_EVENTS[:3]), cut_off),
        "no http": (cut(word + b"\r\n\r\n", how=close), protocol),
    }
    for how in (close, reset):
        told |= {
            f"{how.__name__} before headers": (cut(how=how), failed),
            f"{how.__name__} in headers": (cut(_JSON[:30], how=how), protocol),
            f"{how.__name__} after headers": (cut(_JSON, _WHOLE, how=how), protocol),
            f"{how.__name__} in the body": (cut(_JSON, _WHOLE, _HALF, how=how), protocol),
            f"{how.__name__} in a body without length": (
                cut(_JSON, b"\r\n", _HALF, how=how),
                protocol,
            ),
            f"{how.__name__} before events": (cut(_STREAM, _CHUNKED, how=how), cut_off),
            f"{how.__name__} in a chunk": (cut(_STREAM, _CHUNKED, _CHUNK, how=how), cut_off),
            f"{how.__name__} in a stream without framing": (
                cut(_STREAM, b"\r\n", *_EVENTS[:2], how=how),
                cut_off,
            ),
        }
    return told
