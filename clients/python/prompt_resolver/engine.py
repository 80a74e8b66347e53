"""The thread in which the calls of `completion` are made, one for each process.

It has an event loop, so that any number of threads and of other event loops share what is in it.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar, Unpack

import grpc

from .errors import PromptResolverError
from .events import Event, Events
from .requests import COMPLETE_TIMEOUT_S, CompleteOptions, find_timeout
from .v1 import prompt_resolver_pb2 as pb

_Result = TypeVar("_Result")

# What a call may take beyond its timeout, which is kept elsewhere: in the end it must not hang.
_GRACE_S = 5.0
# How long a fork may have to wait, at most: the service's engine takes a second to be built.
_REST_S = 10.0
_IDLE_S = 0.1
# What is to be kept on disk may take half of it.
_CLOSE_S = 10.0
_OFF = ("0", "f", "false", "n", "no")


class Client(Protocol):
    """What makes the calls: over a connection to a service, or in this process."""

    uses_grpc: bool
    """Whether it makes them by gRPC, which does not like forks."""

    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt."""
        ...

    def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[Event, None]:
        """Yield a model's answer as it arrives."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Engine:
    """The thread, and the client in it, which is opened by the first call.

    Raises `PromptResolverError` where no thread can be started, or no event loop made.
    """

    def __init__(self, open_client: Callable[[], Awaitable[Client]]) -> None:
        self.is_forkable = True
        """Whether nothing stood in the way of the last fork."""
        self._pid = os.getpid()
        self._open_client = open_client
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._streams: weakref.WeakSet[Events] = weakref.WeakSet()
        self._awake = asyncio.Event()
        self._awake.set()
        self._closing = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="prompt-resolver", daemon=True
        )
        try:
            self._thread.start()
            self._loop = started.result()
        except (OSError, RuntimeError) as error:
            raise PromptResolverError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"calls need a thread with an event loop, which cannot be had: {error}",
            ) from None

    async def complete(self, prompt_id: str, options: CompleteOptions) -> pb.CompleteResponse:
        """Return a whole answer. To be run by `wait` or `join`, as it belongs to the thread."""
        async with self._calling(options) as (client, left):
            return await client.complete(prompt_id, **left)

    def stream(self, prompt_id: str, options: CompleteOptions) -> "Stream":
        """Return the stream of an answer, which begins with the first reading."""
        events = Events(self._stream(prompt_id, options))
        self._streams.add(events)
        return Stream(self, events, find_timeout(options, COMPLETE_TIMEOUT_S))

    def wait(self, work: Coroutine[Any, Any, _Result], timeout_s: float) -> _Result:
        """Run something in the thread, and wait for what comes of it."""
        future = self._submit(work)
        try:
            return future.result(timeout_s + _GRACE_S)
        except TimeoutError:
            raise _overdue() from None
        except CancelledError:
            raise PromptResolverError(
                grpc.StatusCode.CANCELLED, "the process ended before the call did"
            ) from None
        finally:
            future.cancel()

    async def join(self, work: Coroutine[Any, Any, _Result], timeout_s: float) -> _Result:
        """Run something in the thread, and await what comes of it. Cancelling ends it there."""
        future = self._submit(work)
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise _overdue() from None

    def end(self, events: Events) -> None:
        """Have events closed, soon. From wherever: this waits for nothing."""
        with suppress(RuntimeError):
            self._submit(events.close())

    def rest(self) -> None:
        """Start no call while the process forks, and tell what stands in the way of forking."""
        resting = self._submit(self._rest())
        try:
            self.is_forkable = resting.result(_REST_S)
        except TimeoutError:
            self.is_forkable = False
        finally:
            # What comes too late must not hold up the calls after the fork.
            resting.cancel()

    def wake(self) -> None:
        """Go on after a fork."""
        self._loop.call_soon_threadsafe(self._awake.set)

    def close(self) -> None:
        """End what runs, and the thread."""
        with suppress(RuntimeError):
            # It has ended.
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_CLOSE_S)

    def _submit(self, work: Coroutine[Any, Any, _Result]) -> "Future[_Result]":
        try:
            if os.getpid() != self._pid:
                raise RuntimeError("expected to be used in the process that began it, not a fork")
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise

    def _run(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        # `asyncio.Runner` would wait for the loop's threads in one more, and where the interpreter
        # ends, none can be started.
        try:
            loop = _new_event_loop()
        except Exception as exception:  # noqa: BLE001  # it is for whoever waits for the loop
            started.set_exception(exception)
            return
        try:
            loop.run_until_complete(self._serve(started))
        finally:
            loop.close()

    async def _serve(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        started.set_result(asyncio.get_running_loop())
        await self._closing.wait()
        await _cancel_others()
        for events in list(self._streams):
            await events.close()
        await self._disconnect()
        await _cancel_others()
        await asyncio.get_running_loop().shutdown_asyncgens()

    async def _stream(
        self, prompt_id: str, options: CompleteOptions
    ) -> AsyncGenerator[Event, None]:
        async with (
            self._calling(options) as (client, left),
            aclosing(client.complete_stream(prompt_id, **left)) as events,
        ):
            async for event in events:
                yield event

    @asynccontextmanager
    async def _calling(
        self, options: CompleteOptions
    ) -> AsyncIterator[tuple[Client, CompleteOptions]]:
        """Give a call its client, and the options with the time that is left then."""
        ends_at = self._loop.time() + find_timeout(options, COMPLETE_TIMEOUT_S)
        await self._awake.wait()
        self._running += 1
        self._idle.clear()
        try:
            client = await self._connect()
            # Where opening the client took it all, the client says so.
            yield client, {**options, "timeout_s": ends_at - self._loop.time()}
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _connect(self) -> Client:
        async with self._connecting:
            if self._client is None:
                self._client = await self._open_client()
            return self._client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _rest(self) -> bool:
        self._awake.clear()
        if self._client is None or not self._client.uses_grpc:
            return True
        if os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in _OFF:
            return False
        # Calls that were given up take a moment to end.
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._idle.wait()
        return self._idle.is_set()


class Stream:
    """The events of one answer, on their way from the thread to whoever reads them.

    Nobody's reading it any more ends the call.
    """

    def __init__(self, engine: Engine, events: Events, timeout_s: float) -> None:
        self._engine = engine
        self._events = events
        self._timeout_s = timeout_s
        self._end = weakref.finalize(self, engine.end, events)
        self._end.atexit = False

    def next(self) -> Event | None:
        """Wait for the next event; None at the end."""
        return self._engine.wait(self._events.next(), self._timeout_s)

    async def anext(self) -> Event | None:
        """Await the next event; None at the end."""
        return await self._engine.join(self._events.next(), self._timeout_s)

    def close(self) -> None:
        """End the call, if it has not ended. Whoever waits for an event, in any thread, is told."""
        self._end()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that the service runs on, where that is installed."""
    try:
        import uvloop  # noqa: PLC0415  # where it is installed
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _overdue() -> PromptResolverError:
    return PromptResolverError(
        grpc.StatusCode.DEADLINE_EXCEEDED, "the call did not even end with its time"
    )
