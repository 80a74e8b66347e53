"""Providers whose moods change at random, and who write down what they are asked, and answer."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Literal, TypeAlias

from tests.support.anthropic import anthropic_answer, anthropic_error, anthropic_texts, frame_error
from tests.support.ledger import Asked, Ledger
from tests.support.upstream import (
    Exchange,
    Upstream,
    openai_answer,
    openai_events,
    running_upstream,
)

Dialect: TypeAlias = Literal["openai", "anthropic"]

_MARK = re.compile(rb"call-(\d+)-")
_WORDS = 12
_PAUSE_S = 0.01
_REFUSALS = {"openai": b'{"error": {"message": "no"}}', "anthropic": anthropic_error("api_error")}
_IN_BAND = {
    "openai": b'data: {"error": {"message": "no", "code": 500}}\n\n',
    "anthropic": frame_error("overloaded_error"),
}


def mark(call: int) -> str:
    """Return the word in a prompt by which a provider knows whose it is."""
    return f"call-{call}-"


class Temperamental:
    """A provider that is in one mood until it is in the next.

    What it is asked, and what it answers, goes to the ledger.
    """

    def __init__(self, name: str, dialect: Dialect, ledger: Ledger, draw: random.Random) -> None:
        self._name = name
        self._dialect = dialect
        self._ledger = ledger
        self._draw = draw
        self._moods: dict[str, tuple[int, Callable[[Exchange, Asked], Awaitable[None]]]] = {
            "ok": (16, self._answer),
            "slow": (4, self._answer_slowly),
            "limited": (2, self._limit),
            "broken": (3, self._break),
            "gone": (2, self._vanish),
            "cut": (2, self._cut),
            "reset": (2, self._reset),
            "garbage": (1, self._babble),
            "in band": (1, self._fail_in_band),
            "silent": (1, self._keep_silent),
            "stalling": (1, self._stall),
            "moved": (1, self._move),
            "down": (2, self._vanish),
        }
        self.mood = "ok"
        self.upstream: Upstream
        self.elsewhere = ""
        """Where it says that it has moved to."""
        self.gathering: asyncio.Barrier | None = None
        """Where all who ask wait for each other, if they have to."""

    def change(self, mood: str | None = None) -> None:
        """Take up another mood: this one, or any."""
        weights = [weight for weight, _ in self._moods.values()]
        self.mood = mood or self._draw.choices([*self._moods], weights)[0]
        self.upstream.is_down = False
        if self.mood == "down":
            self.upstream.go_down()

    async def answer(self, exchange: Exchange) -> None:
        found = _MARK.search(exchange.body)
        assert found is not None
        words = " ".join(self._draw.choices(["tick", "tock"], k=_WORDS))
        number = len(self._ledger.asked)
        asked = Asked(
            call=int(found[1]),
            provider=self._name,
            model=str(exchange.json["model"]),
            key=self._key(exchange),
            text=f"{self._name} answers {found[0].decode()} by {number}: {words}",
            mood=self.mood,
            at=time.monotonic(),
        )
        self._ledger.asked.append(asked)
        try:
            if self.gathering is not None:
                await self.gathering.wait()
            await self._moods[self.mood][1](exchange, asked)
        finally:
            asked.ended_at = time.monotonic()

    def _key(self, exchange: Exchange) -> str:
        if self._dialect == "anthropic":
            return exchange.headers.get("x-api-key", "")
        return exchange.headers.get("authorization", "").removeprefix("Bearer ")

    async def _answer(self, exchange: Exchange, asked: Asked) -> None:
        # It is whole once the last of it may have arrived.
        asked.is_whole = True
        await exchange.send(b"".join(self._parts(exchange, asked)))
        _end(exchange)

    async def _answer_slowly(self, exchange: Exchange, asked: Asked) -> None:
        *parts, last = self._parts(exchange, asked)
        for part in parts:
            await exchange.send(part)
            await asyncio.sleep(_PAUSE_S)
        asked.is_whole = True
        await exchange.send(last)
        _end(exchange)

    async def _limit(self, exchange: Exchange, asked: Asked) -> None:
        # The last of these puts aside what can be asked without an alias alone.
        lasting = ["Retry-After: 3600\r\n"] if asked.model in ("m1", "c1") else []
        header = self._draw.choice(
            [
                "",
                "Retry-After: 0\r\n",
                "Retry-After: 1\r\n",
                "retry-after-ms: 150\r\n",
                "Retry-After: soon\r\n",
                f"Retry-After: {formatdate(time.time() + 1, usegmt=True)}\r\n",
                f"Retry-After: {formatdate(time.time() - 60, usegmt=True)}\r\n",
                *lasting,
            ]
        )
        await self._refuse(exchange, "429 Too Many Requests", header)

    async def _break(self, exchange: Exchange, asked: Asked) -> None:
        status = self._draw.choice(
            ["500 Internal Server Error", "503 Service Unavailable", "529 Overloaded"]
        )
        await self._refuse(exchange, status, self._draw.choice(["", "retry-after-ms: 50\r\n"]))

    async def _vanish(self, exchange: Exchange, asked: Asked) -> None:
        exchange.reset()

    async def _cut(self, exchange: Exchange, asked: Asked) -> None:
        await exchange.send(self._beginning(exchange, asked))
        exchange.writer.close()

    async def _reset(self, exchange: Exchange, asked: Asked) -> None:
        await exchange.send(self._beginning(exchange, asked))
        exchange.reset()

    async def _babble(self, exchange: Exchange, asked: Asked) -> None:
        body, kind = self._draw.choice([(b"<html>", "text/html"), (b'{"id', "application/json")])
        await exchange.send_response(body, content_type=kind)

    async def _fail_in_band(self, exchange: Exchange, asked: Asked) -> None:
        if not exchange.json.get("stream"):
            await exchange.send_response(_REFUSALS[self._dialect])
            return
        await exchange.send(self._beginning(exchange, asked) + _IN_BAND[self._dialect])
        exchange.writer.close()

    async def _keep_silent(self, exchange: Exchange, asked: Asked) -> None:
        await exchange.wait_closed()
        asked.closed_at = time.monotonic()

    async def _stall(self, exchange: Exchange, asked: Asked) -> None:
        await exchange.send(self._beginning(exchange, asked))
        await exchange.wait_closed()
        asked.closed_at = time.monotonic()

    async def _move(self, exchange: Exchange, asked: Asked) -> None:
        await self._refuse(exchange, "307 Moved", f"Location: {self.elsewhere}\r\n")

    async def _refuse(self, exchange: Exchange, status: str, headers: str) -> None:
        await exchange.send_response(_REFUSALS[self._dialect], status=status, headers=headers)

    def _beginning(self, exchange: Exchange, asked: Asked) -> bytes:
        """Return an answer without its end."""
        parts = self._parts(exchange, asked)
        return b"".join(parts[: self._draw.randrange(1, len(parts) // 2 + 1)])

    def _parts(self, exchange: Exchange, asked: Asked) -> list[bytes]:
        """Return an answer in parts, the first of which is its head."""
        pieces = [each + " " for each in asked.text.split(" ")]
        pieces[-1] = pieces[-1].rstrip()
        if exchange.json.get("stream"):
            events = (openai_events if self._dialect == "openai" else anthropic_texts)(*pieces)
            framing = b"text/event-stream\r\nConnection: close\r\n\r\n"
            return [b"HTTP/1.1 200 OK\r\nContent-Type: " + framing, *events]
        if self._dialect == "openai":
            body = openai_answer(asked.text)
        else:
            body = anthropic_answer({"type": "text", "text": asked.text})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return [head % len(body), body[:50], body[50:]]


def _end(exchange: Exchange) -> None:
    if exchange.json.get("stream"):
        exchange.writer.close()


@asynccontextmanager
async def running_temperamental(
    name: str, dialect: Dialect, ledger: Ledger, draw: random.Random
) -> AsyncIterator[Temperamental]:
    """Serve a provider until the context ends."""
    provider = Temperamental(name, dialect, ledger, draw)
    async with running_upstream(provider.answer) as upstream:
        provider.upstream = upstream
        yield provider
