"""A provider whose mood its caller chooses: the first word of the last message.

What follows the word is what a provider in a good mood answers with.
"""

from collections.abc import Awaitable, Callable

from tests.support.upstream import Exchange, openai_answer, openai_events

Mood = Callable[[Exchange, str], Awaitable[None]]

_PIECE = 7
_WIDE = 100_000


async def answer_by_mood(exchange: Exchange) -> None:
    """Answer as the caller wants it."""
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    mood, _, text = messages[-1]["content"].partition(" ")
    await _MOODS[mood](exchange, text)


async def _good(exchange: Exchange, text: str) -> None:
    if not exchange.json.get("stream"):
        await exchange.send_response(openai_answer(text))
        return
    await exchange.begin_stream()
    for event in _events(text):
        await exchange.send(event)
    exchange.writer.close()


async def _chunked(exchange: Exchange, text: str) -> None:
    await exchange.begin_stream(chunked=True)
    await exchange.send(b"".join(map(_chunk, _events(text))) + _chunk(b""))


async def _talkative(exchange: Exchange, text: str) -> None:
    """Go on after the end, with nonsense in place of a chunk. Nobody may notice."""
    await exchange.begin_stream(chunked=True)
    await exchange.send(b"".join(map(_chunk, _events(text))))
    await exchange.send(b"nonsense\r\n" * 100)
    exchange.writer.close()


async def _wide(exchange: Exchange, text: str) -> None:
    """Answer with a text that no buffer holds."""
    await exchange.begin_stream()
    for _ in range(10):
        await exchange.send(openai_events("x" * _WIDE)[1])
    await exchange.send(b"".join(openai_events()))
    exchange.writer.close()


async def _broken(exchange: Exchange, text: str) -> None:
    await exchange.send_response(b'{"error": {}}', status="500 Internal Server Error")


async def _page(exchange: Exchange, text: str) -> None:
    await exchange.send_response(b"<html>", content_type="text/html")


async def _nonsense(exchange: Exchange, text: str) -> None:
    await exchange.begin_stream()
    await exchange.send(b"".join(_events(text)[:2]) + b"data: {nonsense\n\n")
    await exchange.wait_closed()


async def _cut(exchange: Exchange, text: str) -> None:
    await exchange.begin_stream()
    await exchange.send(b"".join(_events(text)[:2]))
    exchange.writer.close()


async def _reset(exchange: Exchange, text: str) -> None:
    await exchange.begin_stream()
    await exchange.send(b"".join(_events(text)[:2]))
    exchange.reset()


async def _gone(exchange: Exchange, text: str) -> None:
    exchange.reset()


async def _silent(exchange: Exchange, text: str) -> None:
    await exchange.wait_closed()


async def _pausing(exchange: Exchange, text: str) -> None:
    await exchange.begin_stream()
    await exchange.send(b"".join(_events(text)[:2]))
    await exchange.wait_closed()


_MOODS: dict[str, Mood] = {
    "good": _good,
    "chunked": _chunked,
    "talkative": _talkative,
    "wide": _wide,
    "broken": _broken,
    "page": _page,
    "nonsense": _nonsense,
    "cut": _cut,
    "reset": _reset,
    "gone": _gone,
    "silent": _silent,
    "pausing": _pausing,
}

GOOD = ("good", "chunked")
"""The moods in which an answer is whole."""

BAD = {
    "broken": ("UPSTREAM_UNAVAILABLE",),
    "page": ("UPSTREAM_PROTOCOL",),
    "nonsense": ("UPSTREAM_PROTOCOL",),
    "cut": ("UPSTREAM_TRUNCATED",),
    # What was sent before a reset may not arrive.
    "reset": ("UPSTREAM_TRUNCATED", "UPSTREAM_UNAVAILABLE"),
    "gone": ("UPSTREAM_UNAVAILABLE",),
    "talkative": ("OK", "UPSTREAM_PROTOCOL"),
}
"""The moods in which an answer is no good, and what may come of it."""

SLOW = ("silent", "pausing")
"""The moods in which no answer comes before a deadline."""


def _events(text: str) -> list[bytes]:
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return openai_events(*pieces)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
