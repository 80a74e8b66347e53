"""The Python clients once they are closed: what calls end in that run, or that come then."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass, field

import grpc
import pytest

from prompt_resolver import AsyncPromptResolverClient, PromptResolverClient, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

METHODS = ("resolve", "complete", "complete_stream", "watch")
TURNS = 8


@dataclass
class Server:
    """A server that takes calls, and answers none."""

    address: str = ""
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def answer(self, request: bytes, context: object) -> bytes:
        self.asked.release()
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await never

    async def stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        yield await self.answer(request, context)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Resolve": grpc.unary_unary_rpc_method_handler(running.answer),
        "Complete": grpc.unary_unary_rpc_method_handler(running.answer),
        "CompleteStream": grpc.unary_stream_rpc_method_handler(running.stream),
        "WatchPrompts": grpc.unary_stream_rpc_method_handler(running.stream),
    }
    service = pb.DESCRIPTOR.services_by_name["PromptResolver"].full_name
    door = grpc.aio.server()
    door.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    running.address = f"127.0.0.1:{door.add_insecure_port('127.0.0.1:0')}"
    await door.start()
    yield running
    await door.stop(None)


async def call(client: AsyncPromptResolverClient, method: str) -> object:
    begun = getattr(client, method)("x")
    return await (anext(begun) if method in ("complete_stream", "watch") else begun)


def wait(client: PromptResolverClient, method: str) -> object:
    begun = getattr(client, method)("x")
    return next(begun) if isinstance(begun, Generator) else begun


async def outcome(work: Awaitable[object]) -> tuple[str, str]:
    """Return the status and the message that work ends in."""
    with pytest.raises(PromptResolverError) as caught:
        await work
    return caught.value.code.name, caught.value.message


CLOSED = ("CANCELLED", "the client was closed")


@pytest.mark.parametrize("method", METHODS)
async def test_in_another_task(server: Server, method: str) -> None:
    """A call that runs while another task closes the client fails; its task is not cancelled."""
    client = AsyncPromptResolverClient(server.address)
    calling = asyncio.create_task(call(client, method))
    await server.asked.acquire()
    await client.close()

    assert await outcome(calling) == CLOSED


@pytest.mark.parametrize("method", METHODS)
async def test_soon_after_the_call_began(server: Server, method: str) -> None:
    """So does one that has hardly begun, or waits for its server, however far it has come."""
    for turns in range(TURNS):
        client = AsyncPromptResolverClient(server.address)
        calling = asyncio.create_task(call(client, method))
        for _ in range(turns):
            await asyncio.sleep(0)
        await client.close()

        assert await outcome(calling) == CLOSED


@pytest.mark.parametrize("method", METHODS)
async def test_tasks_that_are_cancelled(server: Server, method: str) -> None:
    """Whoever cancels a task, or has asyncio do so, is told what asyncio tells, also at the end."""
    client = AsyncPromptResolverClient(server.address)

    async def fail() -> None:
        await server.asked.acquire()
        raise LookupError

    cancelled = asyncio.create_task(call(client, method))
    await server.asked.acquire()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await call(client, method)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(client, method), 0.1)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(call(client, method))
            group.create_task(fail())
    assert [type(each) for each in caught.value.exceptions] == [LookupError]

    late = asyncio.create_task(call(client, method))
    await server.asked.acquire()
    late.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await late


@pytest.mark.parametrize("method", METHODS)
async def test_calls_that_come_too_late(method: str) -> None:
    """A client that was closed, be it twice, makes no call, and says why."""
    client = AsyncPromptResolverClient("127.0.0.1:1")
    waiting = PromptResolverClient("127.0.0.1:1")
    for _ in range(2):
        await client.close()
        waiting.close()

    assert await outcome(call(client, method)) == CLOSED
    assert await outcome(asyncio.to_thread(wait, waiting, method)) == CLOSED


@pytest.mark.parametrize("is_used", [False, True])
async def test_the_channel_of_a_closed_client(is_used: bool) -> None:
    """A closed client gives nobody a channel, which nobody would close."""
    client = AsyncPromptResolverClient("127.0.0.1:1")
    if is_used:
        assert client.channel is client.channel
    await client.close()

    with pytest.raises(PromptResolverError) as caught:
        _ = client.channel
    assert (caught.value.code.name, caught.value.message) == CLOSED


async def test_in_another_thread(server: Server) -> None:
    """Threads whose calls run, or begin, while another one closes the client are told so, too."""
    for _ in range(TURNS):
        client = PromptResolverClient(server.address)
        begun = threading.Barrier(len(METHODS) + 1)

        def run(client: PromptResolverClient, method: str, wait_for: Callable[[], int]) -> object:
            wait_for()
            return wait(client, method)

        calls = [asyncio.to_thread(run, client, each, begun.wait) for each in METHODS]
        calling = [asyncio.ensure_future(outcome(each)) for each in calls]
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(client.close)

        assert {code for code, _ in await asyncio.gather(*calling)} == {"CANCELLED"}
