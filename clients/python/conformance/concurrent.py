"""The driver of `AsyncPromptResolverClient`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from .protocol import (
    DONE,
    UNKNOWN_METHOD,
    Answer,
    Command,
    Tally,
    call_options,
    client_options,
    failed,
    left,
    read_commands,
    seconds,
    succeeded,
    write_answer,
)

Call: TypeAlias = "Callable[..., Awaitable[pb.ResolveResponse | pb.CompleteResponse]]"

_T = TypeVar("_T")


class Driver:
    """What the commands do, by their names."""

    def __init__(self) -> None:
        self._client = AsyncPromptResolverClient()
        self._repetition: Repetition | None = None

    async def connect(self, command: Command) -> Answer:
        await self.close()
        self._client = AsyncPromptResolverClient(command["address"], **client_options(command))
        return DONE

    async def resolve(self, command: Command) -> Answer:
        call = self._client.resolve(command["prompt"], **call_options(command))
        return succeeded(await _leave(call, command))

    async def complete(self, command: Command) -> Answer:
        call = self._client.complete(command["prompt"], **call_options(command))
        return succeeded(await _leave(call, command))

    async def complete_stream(self, command: Command) -> Answer:
        events: list[Answer] = []
        try:
            await _leave(self._stream(command, events), command)
        except PromptResolverError as error:
            return {**failed(error), "events": events}
        return {"ok": True, "events": events}

    async def _stream(self, command: Command, events: list[Answer]) -> None:
        stream = self._client.complete_stream(command["prompt"], **call_options(command))
        async with aclosing(stream):
            async for event in stream:
                events.append(MessageToDict(event))
                if len(events) == command.get("cancel_after_messages"):
                    raise left()

    async def watch(self, command: Command) -> Answer:
        options = call_options(command)
        async with aclosing(self._client.watch(*command["prompts"], **options)) as events:
            came = [MessageToDict(await anext(events)) for _ in range(command["messages"])]
        return {"ok": True, "events": came}

    async def unimplemented(self, command: Command) -> Answer:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._client.channel.unary_unary(UNKNOWN_METHOD)
        try:
            await call(b"", timeout=seconds(command.get("timeout_ms")))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return DONE

    async def repeat(self, command: Command) -> Answer:
        self._repetition = Repetition(self._client, command)
        return DONE

    async def stop(self, command: Command) -> Answer:
        assert self._repetition is not None
        return await self._repetition.stop()

    async def close(self) -> None:
        await self._client.close()


class Repetition:
    """Calls that are made again and again, in tasks, until they are stopped."""

    def __init__(self, client: AsyncPromptResolverClient, command: Command) -> None:
        self._prompt = command["prompt"]
        self._options = call_options(command)
        self._call: Call = getattr(client, command["method"])
        self._ended = False
        self._tally = Tally()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(command["concurrency"])]

    async def stop(self) -> Answer:
        self._ended = True
        await asyncio.gather(*self._tasks)
        return self._tally.answer()

    async def _run(self) -> None:
        while not self._ended:
            began_at = time.monotonic()
            outcome: str | PromptResolverError
            try:
                outcome = (await self._call(self._prompt, **self._options)).prompt.version
            except PromptResolverError as error:
                outcome = error
            self._tally.count(outcome, time.monotonic() - began_at)


async def _leave(call: Coroutine[None, None, _T], command: Command) -> _T:
    """Await a call, and cancel it after the time that the command says, if it does."""
    task = asyncio.ensure_future(call)
    leave_after_s = seconds(command.get("cancel_after_ms"))
    if leave_after_s is not None:
        asyncio.get_running_loop().call_later(leave_after_s, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise left() from None


async def main() -> None:
    driver = Driver()
    commands = read_commands()
    while (command := await asyncio.to_thread(next, commands, None)) is not None:
        run: Callable[[Command], Awaitable[Answer]] = getattr(driver, command["op"])
        try:
            answer = await run(command)
        except PromptResolverError as error:
            answer = failed(error)
        write_answer(answer)
    await driver.close()


if __name__ == "__main__":
    asyncio.run(main())
