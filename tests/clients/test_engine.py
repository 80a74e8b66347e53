"""The thread in which `completion` makes its calls."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Unpack

import grpc
import pytest
from typing_extensions import override

from prompt_resolver import CompleteOptions, PromptResolverError
from prompt_resolver.engine import _GRACE_S, Client, Engine
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

TIMEOUT_S = 0.1 - _GRACE_S
OPTIONS: CompleteOptions = {"timeout_s": TIMEOUT_S}
"""The call is over its time, and what it may take beyond, after a tenth of a second."""


class Endless(Client):
    """A client whose calls take no notice of their time."""

    uses_grpc = False

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.left = 0

    @override
    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        self.asked.set()
        never: asyncio.Future[pb.CompleteResponse] = asyncio.get_running_loop().create_future()
        try:
            return await never
        finally:
            self.left += 1

    @override
    async def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[pb.CompleteStreamResponse, None]:
        await self.complete(prompt_id, **options)
        yield pb.CompleteStreamResponse()

    @override
    async def close(self) -> None:
        pass


@pytest.fixture
def client() -> Endless:
    return Endless()


@pytest.fixture
def engine(client: Endless) -> Iterator[Engine]:
    async def open_client() -> Client:
        return client

    running = Engine(open_client)
    yield running
    running.close()


async def test_nothing_hangs(engine: Engine, client: Endless) -> None:
    """A call that does not even end with its time is given up, for whoever waits for it."""
    for wait in (
        engine.join(engine.complete("p", OPTIONS), TIMEOUT_S),
        asyncio.to_thread(lambda: engine.wait(engine.complete("p", OPTIONS), TIMEOUT_S)),
        engine.stream("p", OPTIONS).anext(),
        asyncio.to_thread(engine.stream("p", OPTIONS).next),
    ):
        with pytest.raises(PromptResolverError) as caught:
            await wait
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED

    engine.close()
    assert client.left == 4


async def test_the_first_call() -> None:
    """What it takes to open the client is a part of the first call's time, and of no other's."""
    given: list[float | None] = []
    opened_s = 0.0

    class Noting(Endless):
        @override
        async def complete(
            self, prompt_id: str = "", **options: Unpack[CompleteOptions]
        ) -> pb.CompleteResponse:
            given.append(options["timeout_s"])
            return pb.CompleteResponse()

    async def open_client() -> Client:
        nonlocal opened_s
        time_s = asyncio.get_running_loop().time
        began_at = time_s()
        while (opened_s := time_s() - began_at) < 0.1:
            pass
        return Noting()

    engine = Engine(open_client)
    for _ in range(2):
        await engine.join(engine.complete("p", {"timeout_s": 60}), 60)
    engine.close()

    first_s, then_s = given
    assert first_s is not None
    assert first_s <= 60 - opened_s
    assert then_s is not None
    assert 60 - opened_s < then_s < 60.1


async def test_the_end(engine: Engine, client: Endless) -> None:
    """Whoever still waits when the engine ends is told, and what comes later is refused."""
    waiting = asyncio.create_task(
        asyncio.to_thread(lambda: engine.wait(engine.complete("p", OPTIONS), 60))
    )
    await asyncio.to_thread(client.asked.wait)
    await asyncio.to_thread(engine.close)

    with pytest.raises(PromptResolverError) as caught:
        await waiting
    assert caught.value.code == grpc.StatusCode.CANCELLED
    with pytest.raises(RuntimeError):
        engine.wait(engine.complete("p", OPTIONS), 60)
    engine.end(engine.stream("p", OPTIONS)._events)
    assert client.left == 1
