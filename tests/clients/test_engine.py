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

OPTIONS: CompleteOptions = {"timeout_s": 0.1 - _GRACE_S}
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
    timeout_s = OPTIONS["timeout_s"]
    for wait in (
        engine.join(engine.complete("p", OPTIONS), timeout_s),
        asyncio.to_thread(lambda: engine.wait(engine.complete("p", OPTIONS), timeout_s)),
        engine.stream("p", OPTIONS).anext(),
        asyncio.to_thread(engine.stream("p", OPTIONS).next),
    ):
        with pytest.raises(PromptResolverError) as caught:
            await wait
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED

    engine.close()
    assert client.left == 4


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
