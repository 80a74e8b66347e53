"""The server that speaks Redis' protocol: it answers within a moment, or is done without.

This is the only module that knows the package `redis`, which is there where the extra is installed.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from typing_extensions import override

from ....metrics import Metrics
from . import scripts
from .breaker import Breaker

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 4 * 1024 * 1024
"""How large what is shared of one key may be."""

_MAX_CONNECTIONS = 32
_SUBSCRIBE_S = 2.0
_LISTEN_S = 5.0

# What a server says that may take the same later on. The package knows some of it by its class,
# and of what a script was told, another word may come first.
_FOR_NOW: Final = (ReadOnlyError, OutOfMemoryError, ClusterDownError, TryAgainError)
_WORDS_FOR_NOW: Final = frozenset(
    {"READONLY", "OOM", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY", "LOADING"}
)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where the server is, and who we are to it. `find_password` is asked with each connection."""

    url: str
    find_password: Callable[[], str | None] | None
    tls: SSLContext


class RedisServer:
    """Asks the server. What goes wrong is counted and told to nobody but the log, once.

    `timeout_s` is for each question, whatever it takes to ask it. Lives on one event loop.
    """

    def __init__(self, address: RedisAddress, *, timeout_s: float, metrics: Metrics) -> None:
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._breaker = Breaker()
        self._failing: set[str] = set()
        self._pool = _make_pool(address, timeout_s)
        self._redis = Redis(connection_pool=self._pool)

    def trust(self, tls: SSLContext) -> None:
        """Know the server by this from the next connection on."""
        if "tls" in self._pool.connection_kwargs:
            self._pool.connection_kwargs["tls"] = tls

    async def read(self, name: str) -> tuple[bytes, int] | None:
        """Return a value and for how many milliseconds it is kept; None if there is none."""

        async def read() -> tuple[bytes, int] | None:
            # No transaction, which a server that is full refuses. In this order, what is written in
            # between seems older than it is, and never newer.
            async with self._redis.pipeline(transaction=False) as commands:
                commands.pttl(name)
                commands.getrange(name, 0, MAX_BYTES)
                kept_ms, value = await commands.execute()
            return (bytes(value), int(kept_ms)) if value else None

        return await self._ask("read", read)

    async def claim(self, name: str, claim: str, *, for_s: float, most_ms: int) -> bool:
        """Take a claim that nobody has, for so many seconds.

        False if somebody has it, or if the value is kept for more milliseconds than that: then it
        was written meanwhile.
        """
        arguments = (name, claim, most_ms, int(for_s * 1000))
        claimed = await self._ask("claim", self._command("EVAL", scripts.CLAIM, 2, *arguments))
        return claimed is not False

    async def write(
        self,
        name: str,
        value: bytes,
        *,
        left_s: Callable[[], float],
        claim: str,
        channel: str,
        news: bytes,
    ) -> bool:
        """Keep a value and give a claim up; publish the news if another value was there.

        It is kept for as many seconds as `left_s` tells, however late the server gets to it. What
        lives longer is left as it is. Return whether that got through, or never will.
        """

        async def write() -> bool:
            seconds, microseconds = await self._redis.time()
            # In this order, the value seems older than it is, and never younger.
            until_ms = seconds * 1000 + microseconds // 1000 + int(1000 * left_s())
            arguments = (name, claim, value, until_ms, channel, news)
            return await self._command("EVAL", scripts.WRITE, 2, *arguments)()

        return await self._ask("write", write, if_refused=False) is not None

    async def remove(self, name: str, *, most_ms: int, channel: str, news: bytes) -> bool:
        """Remove a value that is kept for so many milliseconds at most, and publish the news.

        There are none where it was not there. Return whether that got through, or never will.
        """
        remove = self._command("EVAL", scripts.REMOVE, 1, name, most_ms, channel, news)
        return await self._ask("remove", remove, if_refused=False) is not None

    async def release(self, claim: str) -> bool:
        """Give a claim up; return whether that got through, or never will."""
        release = self._command("DEL", claim)
        return await self._ask("release", release, if_refused=False) is not None

    async def publish(self, channel: str, news: bytes) -> bool:
        """Publish news, whatever is shared; return whether that got through, or never will."""
        publish = self._command("PUBLISH", channel, news)
        return await self._ask("publish", publish, if_refused=False) is not None

    async def subscribe(self, channel: str) -> AsyncGenerator[bytes | None, None]:
        """Yield what is published: first None, once nothing is missed any more.

        Ends when the connection does, or the server no longer answers on it.
        """
        try:
            async with (
                self._redis.pubsub() as subscription,
                aclosing(self._listen(subscription, channel)) as messages,
            ):
                async for message in messages:
                    if message is None:
                        self._metrics.shared_cache_asked("subscribe", "ok")
                        self._tell_working("subscribe")
                    yield message
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, no call may fail of it
            _pass_cancellation()
            self._tell_failing("subscribe", self._note_failure("subscribe", error))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._pool.aclose()

    async def _ask(
        self,
        operation: str,
        ask: Callable[[], Awaitable[_Result]],
        *,
        if_refused: _Result | None = None,
    ) -> _Result | None:
        """Return the answer, or None where none came in time.

        `if_refused` stands for one that will never come, as of a server that does not let us.
        """
        if not self._breaker.admits():
            self._metrics.shared_cache_asked(operation, "skipped")
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await ask()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, no call may fail of it
            _pass_cancellation()
            problem = self._note_failure(operation, error)
            if isinstance(error, ResponseError):
                # A server that refuses answers at once, and need not be left alone for that.
                self._breaker.succeeded()
                self._tell_failing(operation, problem)
                return None if _is_for_now(error) else if_refused
            if self._breaker.failed():
                self._tell_failing("connect", problem)
            return None
        self._breaker.succeeded()
        self._metrics.shared_cache_asked(operation, "ok" if answer else "none")
        self._tell_working("connect", operation)
        return answer

    def _command(self, *words: str | bytes | int) -> Callable[[], Awaitable[bool]]:
        async def command() -> bool:
            return bool(await self._redis.execute_command(*words))  # type: ignore[no-untyped-call]

        return command

    async def _listen(self, subscription: Any, channel: str) -> AsyncGenerator[bytes | None, None]:
        async with asyncio.timeout(_SUBSCRIBE_S):
            await subscription.subscribe(channel)
        asked = True
        while True:
            message = await subscription.get_message(timeout=_SUBSCRIBE_S if asked else _LISTEN_S)
            if message is None and asked:
                raise TimeoutError
            asked = message is None
            if message is None:
                async with asyncio.timeout(_SUBSCRIBE_S):
                    await subscription.ping()
            elif message["type"] == "subscribe":
                yield None
            elif message["type"] == "message":
                yield bytes(message["data"])

    def _note_failure(self, operation: str, error: Exception) -> str:
        problem = _name_problem(error)
        self._metrics.shared_cache_asked(operation, problem)
        return problem

    def _tell_failing(self, operation: str, problem: str) -> None:
        if operation not in self._failing:
            self._failing.add(operation)
            _log.warning(
                "the shared cache fails, this replica goes on without",
                extra={"operation": operation, "problem": problem},
            )

    def _tell_working(self, *operations: str) -> None:
        for operation in self._failing.intersection(operations):
            self._failing.discard(operation)
            _log.info("the shared cache works again", extra={"operation": operation})


class _Credentials(CredentialProvider):
    """Who we are, found out anew for each connection, as a password may be replaced."""

    def __init__(self, user: str | None, find_password: Callable[[], str | None]) -> None:
        self._user = user
        self._find_password = find_password

    @override
    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._find_password() or ""
        return (self._user, password) if self._user else (password,)


class _SecureConnection(SSLConnection):
    """A connection that trusts whom all outgoing calls trust."""

    def __init__(self, *, tls: SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


def _make_pool(address: RedisAddress, timeout_s: float) -> BlockingConnectionPool:
    options: dict[str, Any] = dict(parse_url(address.url))
    if options.get("connection_class") is SSLConnection:
        options |= {"connection_class": _SecureConnection, "tls": address.tls}
    if address.find_password is not None:
        user = options.pop("username", None)
        options["credential_provider"] = _Credentials(user, address.find_password)
    return BlockingConnectionPool(
        max_connections=_MAX_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=_SUBSCRIBE_S,
        socket_connect_timeout=_SUBSCRIBE_S,
        # Who asks decides whether to ask again.
        retry=Retry(NoBackoff(), 0),
        # What every server speaks, and every proxy in front of one.
        protocol=2,
        **options,
    )


def _pass_cancellation() -> None:
    """End a task that is to end: the package may have made another error of its cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_for_now(refusal: ResponseError) -> bool:
    """Tell whether a server may do later on what it has refused."""
    words = re.findall(r"[A-Z]+", str(refusal))
    return isinstance(refusal, _FOR_NOW) or not _WORDS_FOR_NOW.isdisjoint(words)


def _name_problem(error: Exception) -> str:
    """Return the kind of trouble that an error tells of."""
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "timeout"
    if isinstance(error, ResponseError | AuthenticationError):
        return "refused"
    if isinstance(error, RedisError | OSError):
        return "unreachable"
    return "garbage"
