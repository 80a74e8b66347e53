"""The second level of the cache, which the replicas of a service share.

What a store has confirmed to one replica is written where the others look before they ask the
store, and one of them asks when it is due. What has changed is told to all of them. How old a copy
is follows from how long it is still kept, so that no two clocks have to agree.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from ssl import SSLContext
from typing import TypeVar

from ....domain.json_codec import JsonError
from ....domain.prompts import Template
from ....logs import place_of
from ....metrics import Metrics
from ....runtime.backoff import backoff_s
from ...formats.documents import DocumentError, decode_template, encode_template
from ...store import Account
from ..entries import Held, Key
from ..peers import Copy, Replica
from .news import MAX_BYTES as MAX_NEWS_BYTES
from .news import Change, News, decode_news, encode_news
from .outbox import Outbox
from .seal import SEAL_BYTES, Sealer
from .server import MAX_BYTES, RedisServer

_log = logging.getLogger(__name__)

# As long as a store may take. Whoever is asking and crashes keeps the others waiting for this time.
_CLAIM_S = 5.0
# Encoding and reading more than this takes longer than other calls should wait.
_LARGE_BYTES = 64 * 1024
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0
_CANCEL_AGAIN_S = 0.5

_Result = TypeVar("_Result")

FindAccount = Callable[[], Account | None]
"""Tells with what a store is asked at the moment; None where it cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What the replicas that share something have in common.

    `prefix` begins all names and `keep_s` is how long a copy is kept. `accounts` are those of the
    stores whose templates are shared, by the stores' names.
    """

    prefix: str
    keep_s: float
    accounts: Mapping[str, FindAccount]


class SharedCache:
    """The `Peers` of a replica, who meet at a server. `clock` is the cache's."""

    def __init__(
        self,
        server: RedisServer,
        sharing: Sharing,
        *,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._sharing = sharing
        self._count = metrics.shared_cache_asked
        self._clock = clock
        self._sender = secrets.token_hex(8)
        self._channel = f"{sharing.prefix}news"
        self._claimed: set[Key] = set()
        self._outbox = Outbox(metrics)
        self._tasks: list[asyncio.Task[None]] = []

    def join(self, replica: Replica) -> None:
        """Begin to share, and to tell a replica what the others tell."""
        self._tasks = [
            asyncio.ensure_future(self._outbox.run()),
            asyncio.ensure_future(self._follow(replica)),
        ]

    def adopt(
        self, accounts: Mapping[str, FindAccount], *, lost: Collection[str], tls: SSLContext
    ) -> None:
        """Share the templates of these stores from now on; see `Sharing` and `Replacement.lost`.

        What a lost store served, and has not been shared yet, must not be in another one's name.
        """
        self._sharing = replace(self._sharing, accounts=accounts)
        self._server.trust(tls)
        self._outbox.drop(lost)

    def shares(self, key: Key) -> bool:
        """Tell whether a key is of a store that is shared, and asked with a key of its own.

        What a caller's key has opened is that caller's, and leaves this process for no one.
        """
        return not key.credential and key.store in self._sharing.accounts

    async def find(self, key: Key, held: Template | None) -> Copy | None:
        """Return what is shared of a key; see `Peers.find`."""
        if (sealer := self._sealer(key.store)) is None:
            return None
        name = self._name(sealer, key)
        found = await self._server.read(name)
        if found is None:
            return None
        sealed, kept_ms = found
        template = None
        if len(sealed) <= MAX_BYTES and kept_ms > 0:
            read = partial(_read, sealer, name, sealed, held)
            size = max(len(sealed), held.size if held is not None else 0)
            template = await _apart_if(size > _LARGE_BYTES, read)
        if template is None:
            self._count("read", "garbage")
            return None
        return Copy(template, max(0.0, self._sharing.keep_s - kept_ms / 1000))

    async def claim(self, key: Key, seen: Copy | None) -> bool:
        """Tell whether this replica is to ask the store; see `Peers.claim`."""
        if (sealer := self._sealer(key.store)) is None:
            return True
        name = self._name(sealer, key)
        kept_s = self._sharing.keep_s - (seen.age_s if seen is not None else 0)
        # A millisecond more, as it is rounded.
        most_ms = 1 + int(1000 * kept_s)
        if not await self._server.claim(name, _claim(name), for_s=_CLAIM_S, most_ms=most_ms):
            return False
        self._claimed.add(key)
        return True

    def confirmed(self, key: Key, held: Held) -> None:
        """Share what the store has confirmed; see `Peers.confirmed`."""
        self._claimed.discard(key)
        template, confirmed_at = held.template, held.confirmed_at
        self._outbox.put(key, "write", lambda: self._write(key, template, confirmed_at))

    def failed(self, key: Key) -> None:
        """Give a claim up; see `Peers.failed`."""
        if key in self._claimed:
            self._claimed.discard(key)
            self._outbox.put(key, "release", lambda: self._release(key))

    def gone(self, key: Key) -> None:
        """Share a template no longer; see `Peers.gone`."""
        self.failed(key)
        at = self._clock()
        self._outbox.put(key, "remove", lambda: self._remove(key, at))

    def forgotten(self, key: Key) -> None:
        """Have the others forget a prompt; see `Peers.forgotten`."""
        self._outbox.put(key, "forget", lambda: self._forget(key))

    async def aclose(self) -> None:
        """Share nothing more, and close the connections."""
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            # The package sends by way of `wait_for`, which may swallow that before Python 3.12.
            _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
        await self._server.aclose()

    async def _write(self, key: Key, template: Template, confirmed_at: float) -> bool:
        if (sealer := self._sealer(key.store)) is None:
            return True
        name = self._name(sealer, key)
        seal = partial(_seal, sealer, name, template)
        sealed = await _apart_if(template.size > _LARGE_BYTES, seal)

        def left_s() -> float:
            return self._sharing.keep_s - (self._clock() - confirmed_at)

        if len(sealed) > MAX_BYTES or left_s() <= 0:
            self._count("write", "skipped")
            return True
        return await self._server.write(
            name,
            sealed,
            left_s=left_s,
            claim=_claim(name),
            channel=self._channel,
            news=self._tell(sealer, key, "changed"),
        )

    async def _release(self, key: Key) -> bool:
        if (sealer := self._sealer(key.store)) is None:
            return True
        return await self._server.release(_claim(self._name(sealer, key)))

    async def _remove(self, key: Key, at: float) -> bool:
        """Remove what was confirmed before that time; it may have taken a while to get here."""
        if (sealer := self._sealer(key.store)) is None:
            return True
        kept_s = self._sharing.keep_s - (self._clock() - at)
        return await self._server.remove(
            self._name(sealer, key),
            most_ms=1 + int(1000 * kept_s),
            channel=self._channel,
            news=self._tell(sealer, key, "gone"),
        )

    async def _forget(self, key: Key) -> bool:
        if (sealer := self._sealer(key.store)) is None:
            return True
        return await self._server.publish(self._channel, self._tell(sealer, key, "forgotten"))

    async def _follow(self, replica: Replica) -> None:
        """Pass on what the others tell, and have all looked at again when some may be missing."""
        failures = 0
        while True:
            began_at = self._clock()
            async with aclosing(self._server.subscribe(self._channel)) as messages:
                async for message in messages:
                    if message is None:
                        replica.doubt()
                        continue
                    try:
                        self._receive(message, replica)
                    except Exception as fault:  # noqa: BLE001 - ours, and one message of many
                        told = place_of(fault)
                        _log.error("what a replica tells cannot be taken", extra=told)
            # Not anew with a server that lets go of everybody at once, as all is looked at again.
            lasted = self._clock() - began_at > _LAST_RETRY_S
            failures = 0 if lasted else failures + 1
            wait_s = backoff_s(failures, first_s=_FIRST_RETRY_S, longest_s=_LAST_RETRY_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def _receive(self, message: bytes, replica: Replica) -> None:
        news = self._open(message)
        if news is None:
            self._count("subscribe", "garbage")
        elif news.sender == self._sender:
            return
        elif news.change == "forgotten":
            replica.forget(news.key)
        else:
            replica.look(news.key, ask_store=news.change == "gone")

    def _open(self, message: bytes) -> News | None:
        """Return the news that a replica has sealed."""
        try:
            news = decode_news(message[SEAL_BYTES:]) if len(message) <= MAX_NEWS_BYTES else None
        except JsonError:
            return None
        sealer = self._sealer(news.store) if news is not None else None
        return news if sealer is not None and sealer.open(self._channel, message) else None

    def _tell(self, sealer: Sealer, key: Key, change: Change) -> bytes:
        news = News.of(key, change, sender=self._sender)
        return sealer.seal(self._channel, encode_news(news))

    def _sealer(self, store: str) -> Sealer | None:
        find_account = self._sharing.accounts.get(store)
        account = find_account() if find_account is not None else None
        return Sealer.of(account, store, str(self._sharing.keep_s)) if account else None

    def _name(self, sealer: Sealer, key: Key) -> str:
        return self._sharing.prefix + sealer.name(key)


def _claim(name: str) -> str:
    return f"{name}:asking"


async def _apart_if(is_large: bool, work: Callable[[], _Result]) -> _Result:
    """Do some work: in a thread of its own where it takes longer than other calls should wait."""
    return await asyncio.to_thread(work) if is_large else work()


def _seal(sealer: Sealer, name: str, template: Template) -> bytes:
    return sealer.seal(name, encode_template(template))


def _read(sealer: Sealer, name: str, sealed: bytes, held: Template | None) -> Template | None:
    """Return the template that was sealed, `held` itself if it is that; None if it is none."""
    document = sealer.open(name, sealed)
    if document is None:
        return None
    if held is not None and encode_template(held) == document:
        return held
    try:
        return decode_template(document)
    except DocumentError:
        return None
