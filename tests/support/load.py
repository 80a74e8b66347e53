"""A mixed load: calls that succeed, that fail, that are late, and whose callers leave.

Each call knows what may come of it. What else comes is a fault, and is told.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

import grpc
from grpc_health.v1 import health_pb2

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from tests.support.humanloop import HumanloopApi
from tests.support.moods import BAD, GOOD, SLOW
from tests.support.raw import check_health, open_channel
from tests.support.weather import COLD, WEATHER

TOKEN = "token-of-the-load"
_AT_ONCE = 32
_CHANNELS = 3
_WEATHER_CALLS = 40
_PATIENCE_S = 30.0
_LATE_S = 0.05
_LATE = ("DEADLINE", "DEADLINE_EXCEEDED")
_STORE = "STORE_UNAVAILABLE"
# The last is what gRPC says where a call has arrived and no handler has it (grpc/grpc#41785).
_ENDED = ("UNAVAILABLE", "DRAINING", "NOT_SERVING", "CANCELLED")


class Load:
    """Callers of a service. `seed` decides what they do; `begun` are the calls so far.

    Once it is `ending`, the service may refuse them.
    """

    def __init__(self, address: str, api: HumanloopApi, *, seed: int) -> None:
        self._address = address
        self._api = api
        self._random = random.Random(seed)
        self._stack = AsyncExitStack()
        self._clients: list[AsyncPromptResolverClient] = []
        self.begun = 0
        self.ending = False
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.health_s: list[float] = []
        self._kinds: dict[Callable[[AsyncPromptResolverClient, str], Awaitable[None]], int] = {
            self._resolve: 20,
            self._held: 10,
            self._cold: 8,
            self._unknown: 8,
            self._incomplete: 4,
            self._refresh: 4,
            self._key: 3,
            self._token: 3,
            self._complete: 12,
            self._stream: 14,
            self._fail: 12,
            self._late: 2,
            self._hurry: 8,
            self._leave: 14,
            self._stall: 2,
            self._close: 2,
            self._health: 5,
        }

    async def __aenter__(self) -> Self:
        for token in [*[TOKEN] * _CHANNELS, "wrong"]:
            client = AsyncPromptResolverClient(self._address, token=token, wait_for_ready=False)
            self._clients.append(await self._stack.enter_async_context(client))
        self._stranger = self._clients.pop()
        self._probe = open_channel(self._address)
        await self._stack.enter_async_context(self._probe)
        await self.again()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, calls: int, *, per_second: float) -> None:
        """Make so many calls, no faster than that, and wait until all of them have ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        room = asyncio.Semaphore(_AT_ONCE)
        running: set[asyncio.Task[None]] = set()
        for number in range(calls):
            self._api.fail = WEATHER[number // _WEATHER_CALLS % len(WEATHER)]
            # Not to wait for anything, but to leave the machine to others.
            await asyncio.sleep(began + number / per_second - loop.time())
            await room.acquire()
            task = asyncio.ensure_future(self._any())
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: room.release())
        await asyncio.gather(*running)
        self._api.fail = None

    async def again(self) -> None:
        """Have the store asked once more."""
        await self._refresh(self._clients[0], "again")

    async def _any(self) -> None:
        [kind] = self._random.choices(list(self._kinds), weights=list(self._kinds.values()))
        self.begun += 1
        await kind(self._random.choice(self._clients), f"n{self.begun}")

    async def _resolve(self, client: AsyncPromptResolverClient, text: str) -> None:
        await self._check("resolve", _resolved(client, "tell", f"good {text}"), f"good {text}")

    async def _held(self, client: AsyncPromptResolverClient, text: str) -> None:
        await self._check("held", _resolved(client, "held", text, store="hl"), f"held {text}")

    async def _cold(self, client: AsyncPromptResolverClient, text: str) -> None:
        number = self._random.randrange(COLD)
        prompt_id = self._random.choice((f"pr_{number}", f"cold/{number}"))
        call = _resolved(client, prompt_id, text, store="hl")
        await self._check("cold", call, f"cold {number} {text}", "OK", _STORE)

    async def _unknown(self, client: AsyncPromptResolverClient, text: str) -> None:
        store = self._random.choice(("hl", "local"))
        call = _resolved(client, f"no/{text}", text, store=store)
        await self._check("unknown", call, "", "PROMPT_NOT_FOUND", _STORE)

    async def _incomplete(self, client: AsyncPromptResolverClient, text: str) -> None:
        call = client.resolve("tell", variables={"other": text}, timeout_s=_PATIENCE_S)
        await self._check("incomplete", call, "", "VARIABLES_INVALID")

    async def _refresh(self, client: AsyncPromptResolverClient, text: str) -> None:
        call = _resolved(client, "held", text, store="hl", refresh=True)
        await self._check("refresh", call, f"held {text}")

    async def _key(self, client: AsyncPromptResolverClient, text: str) -> None:
        call = client.resolve(
            "held", store="hl", credentials={"x-prompt-store-key": text}, timeout_s=_PATIENCE_S
        )
        await self._check("key", call, "", "STORE_AUTH", _STORE)

    async def _token(self, client: AsyncPromptResolverClient, text: str) -> None:
        call = self._stranger.resolve("tell", variables={"text": text}, timeout_s=_PATIENCE_S)
        await self._check("token", call, "", "CALLER_TOKEN_INVALID")

    async def _complete(self, client: AsyncPromptResolverClient, text: str) -> None:
        model = self._random.choice(("fake/m", "whole/m"))
        mood = "good" if model == "whole/m" else self._random.choice(GOOD)
        await self._check("complete", _completed(client, f"{mood} {text}", model), text)

    async def _stream(self, client: AsyncPromptResolverClient, text: str) -> None:
        mood, text = self._random.choice(GOOD), text * self._random.choice((1, 10, 1000))
        await self._check("stream", _streamed(client, f"{mood} {text}"), text)

    async def _fail(self, client: AsyncPromptResolverClient, text: str) -> None:
        mood = self._random.choice(list(BAD))
        await self._check(mood, self._ask(client, f"{mood} {text}"), text, *BAD[mood])

    async def _late(self, client: AsyncPromptResolverClient, text: str) -> None:
        mood = self._random.choice(SLOW)
        call = self._ask(client, f"{mood} {text}", timeout_s=_LATE_S)
        await self._check("late", call, "", *_LATE)

    async def _hurry(self, client: AsyncPromptResolverClient, text: str) -> None:
        timeout_s = self._random.uniform(0.0005, 0.008)
        if self._random.random() < 0.5:
            resolve = _resolved(client, "tell", f"good {text}", timeout_s=timeout_s)
            await self._check("hurry", resolve, f"good {text}", "OK", *_LATE)
        else:
            ask = self._ask(client, f"good {text}", timeout_s=timeout_s)
            await self._check("hurry", ask, text, "OK", *_LATE)

    async def _leave(self, client: AsyncPromptResolverClient, text: str) -> None:
        kind = self._random.choice(
            (self._resolve, self._cold, self._refresh, self._complete, self._stream, self._fail)
        )
        call = asyncio.ensure_future(kind(client, text))
        await asyncio.wait({call}, timeout=self._random.uniform(0, 0.02))
        call.cancel()
        await asyncio.wait({call})
        self.outcomes["leave"] += 1

    async def _stall(self, client: AsyncPromptResolverClient, text: str) -> None:
        """Read the beginning of a wide stream, and the rest, or leave."""

        async def stall() -> str:
            stream = client.complete_stream(
                "tell", variables={"text": "wide"}, timeout_s=_PATIENCE_S, model="fake/m"
            )
            await anext(stream)
            await self._check("between", _resolved(client, "tell", text), text)
            if self._random.random() < 0.5:
                async for _ in stream:
                    pass
            await stream.aclose()
            return text

        await self._check("stall", stall(), text)

    async def _close(self, client: AsyncPromptResolverClient, text: str) -> None:
        """Close a connection in the middle of its calls."""
        own = AsyncPromptResolverClient(self._address, token=TOKEN, wait_for_ready=False)
        calls = [asyncio.ensure_future(self._ask(own, f"good {text}")) for _ in range(3)]
        await asyncio.wait(calls, timeout=self._random.uniform(0, 0.02))
        await own.close()
        await asyncio.wait(calls, timeout=_PATIENCE_S)
        self.outcomes["close"] += all(call.done() for call in calls)
        await asyncio.gather(*calls, return_exceptions=True)

    async def _health(self, client: AsyncPromptResolverClient, text: str) -> None:
        began = time.perf_counter()
        try:
            status = await check_health(self._probe, self._random.choice(("", "readiness")))
            outcome = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
        except grpc.aio.AioRpcError as error:
            outcome = error.code().name
        self.health_s.append(time.perf_counter() - began)
        self._note("health", outcome, "SERVING")

    def _ask(
        self, client: AsyncPromptResolverClient, text: str, *, timeout_s: float = _PATIENCE_S
    ) -> Awaitable[str]:
        call = self._random.choice((_completed, _streamed))
        return call(client, text, "fake/m", timeout_s)

    async def _check(self, kind: str, call: Awaitable[object], right: str, *allowed: str) -> None:
        """Note what comes of a call: the right text, or a reason out of those allowed."""
        try:
            text = await call
        except PromptResolverError as error:
            outcome = error.reason or error.code.name
        else:
            outcome = "OK" if text == right else "wrong text"
        self._note(kind, outcome, *(allowed or ("OK",)))

    def _note(self, kind: str, outcome: str, *allowed: str) -> None:
        self.outcomes[f"{kind} {outcome}"] += 1
        if outcome not in allowed and not (self.ending and outcome in _ENDED):
            self.faults.append(f"{kind}: {outcome}")


async def _resolved(
    client: AsyncPromptResolverClient,
    prompt_id: str,
    text: str,
    *,
    store: str = "local",
    refresh: bool = False,
    timeout_s: float = _PATIENCE_S,
) -> str:
    response = await client.resolve(
        prompt_id, variables={"text": text}, store=store, refresh=refresh, timeout_s=timeout_s
    )
    return response.messages[0].content[0].text


async def _completed(
    client: AsyncPromptResolverClient,
    text: str,
    model: str = "fake/m",
    timeout_s: float = _PATIENCE_S,
) -> str:
    response = await client.complete(
        "tell", variables={"text": text}, model=model, timeout_s=timeout_s
    )
    return response.message.content[0].text


async def _streamed(
    client: AsyncPromptResolverClient,
    text: str,
    model: str = "fake/m",
    timeout_s: float = _PATIENCE_S,
) -> str:
    pieces: list[str] = []
    kinds: list[str | None] = []
    stream = client.complete_stream(
        "tell", variables={"text": text}, model=model, timeout_s=timeout_s
    )
    async for event in stream:
        pieces.append(event.text_delta)
        kinds.append(event.WhichOneof("event"))
    whole = kinds[0] == "started" and kinds[-1] == "finished"
    return "".join(pieces) if whole else f"not whole: {kinds[0]} to {kinds[-1]}"
