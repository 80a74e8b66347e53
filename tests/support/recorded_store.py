"""A store with accounts, moods and validators, which writes down what it says to whom."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.history import History, Said, Word
from tests.support.humanloop import DEFAULT, StoredPrompt, send
from tests.support.upstream import Exchange, running_upstream

Mood: TypeAlias = Callable[[Exchange], Awaitable[None]]
"""Answers in place of the store."""


@dataclass
class RecordedStore:
    """Humanloop's API. `accounts` are by key; each has its own versions of the same prompts.

    `moods` are by prompt, and that of `""` is for all.
    """

    history: History
    accounts: dict[str, str]
    prompts: Mapping[str, dict[str, StoredPrompt]]
    url: str = ""
    moods: dict[str, Mood] = field(default_factory=dict)

    def publish(self, account: str, prompt: str, version: str) -> None:
        """Deploy a version, or roll back to one."""
        stored = self.prompts[account].setdefault(prompt, StoredPrompt(prompt, f"at/{prompt}"))
        text = f"{account} {prompt} {version}"
        stored.versions[version] = {"template": [{"role": "user", "content": text}]}
        stored.deployed[DEFAULT] = version

    async def answer(self, exchange: Exchange) -> None:
        prompt = exchange.path.rpartition("/")[2].partition("?")[0]
        account = self.accounts.get(exchange.headers.get("x-api-key", ""), "")
        began_at = time.monotonic()

        def say(word: Word, version: str = "") -> None:
            at = time.monotonic()
            self.history.said.append(Said(prompt, account, began_at, at, word, version))

        mood = self.moods.get(prompt) or self.moods.get("")
        if mood is not None:
            words: dict[Mood, Word] = {deny: "absent", refuse: "refused"}
            word = words.get(mood, "failed")
            if word != "failed":
                say(word)
            try:
                await mood(exchange)
            finally:
                if word == "failed":
                    say(word)
            return
        stored = self.prompts[account].get(prompt) if account else None
        if stored is None:
            say("absent" if account else "refused")
            await (deny if account else refuse)(exchange)
            return
        version = stored.deployed[DEFAULT]
        etag = f'"{account} {version}"'
        say("confirmed", version)
        if exchange.headers.get("if-none-match") == etag:
            await exchange.send(f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode())
        else:
            await send(exchange, stored.document(version), headers=f"ETag: {etag}\r\n")


async def deny(exchange: Exchange) -> None:
    """Know no such prompt."""
    await send(exchange, {"detail": {"msg": "not found"}}, status="404 Not Found")


async def refuse(exchange: Exchange) -> None:
    """Refuse the key."""
    await send(exchange, {"detail": "Invalid API key"}, status="401 Unauthorized")


async def fail(exchange: Exchange) -> None:
    """Have a fault."""
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def limit(exchange: Exchange) -> None:
    """Ask to be left alone for a second."""
    await send(exchange, {}, status="429 Too Many Requests", headers="Retry-After: 1\r\n")


async def babble(exchange: Exchange) -> None:
    """Answer with something that is no prompt."""
    await exchange.send_response(json.dumps({"name": "nothing"}).encode())


async def cut(exchange: Exchange) -> None:
    """Begin an answer, and be gone."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    exchange.writer.close()


async def vanish(exchange: Exchange) -> None:
    """Be gone."""
    exchange.reset()


async def hang(exchange: Exchange) -> None:
    """Say nothing."""
    await exchange.wait_closed()


@asynccontextmanager
async def running_store(history: History, accounts: dict[str, str]) -> AsyncIterator[RecordedStore]:
    """Serve on a free port of loopback until the context ends."""
    prompts: dict[str, dict[str, StoredPrompt]] = {name: {} for name in accounts.values()}
    store = RecordedStore(history, accounts, prompts)
    async with running_upstream(store.answer) as upstream:
        store.url = upstream.url.removesuffix("/v1") + "/v5"
        upstream.exchanges.clear()
        yield store
