"""What happens to every call, whatever its method: the one wrapper around the servicer's methods.

It is counted, admitted, read and given its deadline, and whatever goes wrong becomes a status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from ..domain.errors import CallError, Reason, UpstreamError
from ..entry.admission import CallClass, Gate
from ..entry.caller import Caller
from ..entry.deadlines import NO_DEADLINES, ending_at
from ..entry.running import Running
from ..entry.serving import Serving
from ..metrics import CallMetrics, Metrics
from ..runtime.alarms import Alarms
from ..runtime.batching import Batches
from ..runtime.turns import Turns
from ..tracing import NO_TRACER, Tracer
from .call import Call, Method
from .headers import LateHeaders, gone, send_headers

_Request = TypeVar("_Request", bound=Message)
_Request_contra = TypeVar("_Request_contra", bound=Message, contravariant=True)

if TYPE_CHECKING:
    from .call import Context

    # Generic in the stubs alone.
    Handler = grpc.RpcMethodHandler[bytes, bytes]


class Send(Protocol):
    """Sends one message of a stream, and returns when the next one may follow."""

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        ...


class Stream:
    """The responses of one call, as they are sent."""

    def __init__(self, context: Context, metrics: CallMetrics, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._context = context
        self._metrics = metrics
        self._begun = False

    async def begin(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Send what comes before the first message, unless it has been sent."""
        if not self._begun:
            self._begun = True
            await send_headers(self._context, headers)

    async def __call__(self, message: Message) -> None:
        """Send one message; see `Send`."""
        await self.begin()
        try:
            data = message.SerializeToString()
            check_size(len(data), self._max_bytes)
            await self._context.write(data)
        except grpc.aio.InternalError:
            raise gone() from None
        self._metrics.sent()


class HandleUnary(Protocol[_Request_contra]):
    """A method with one response."""

    async def __call__(self, request: _Request_contra, caller: Caller) -> Message:
        """Return the response."""
        ...


class HandleStream(Protocol[_Request_contra]):
    """A method with a stream of responses."""

    async def __call__(self, request: _Request_contra, caller: Caller, stream: Stream, /) -> None:
        """Send the responses."""
        ...


class Calls:
    """Wraps the methods of the services. `for_operators` tells that they are not for callers.

    gRPC itself refuses to send more than `max_message_bytes`, and would count such a call as good.
    Calls begin between the `turns` of answers.

    Made inside of a running event loop.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        gates: Mapping[CallClass, Gate],
        running: Running,
        metrics: Metrics,
        max_message_bytes: int,
        tracer: Tracer = NO_TRACER,
        turns: Turns | None = None,
        for_operators: bool = False,
    ) -> None:
        self._serving = serving
        self._for_operators = for_operators
        self._loop = asyncio.get_running_loop()
        self._gates = gates
        self._metrics = metrics
        self._running = running
        self._tracer = tracer
        self._alarms = Alarms(self._loop)
        self._turns = turns or Turns(self._loop)
        self._max_bytes = max_message_bytes

    def unary(
        self,
        service: str,
        method: str,
        request_type: type[_Request],
        handle: HandleUnary[_Request],
        *,
        call_class: CallClass | None = None,
        repeatable: bool = False,
        batched: bool = False,
    ) -> Handler:
        """Return the handler of a method with one response.

        If it is `batched`, its calls may wait for each other for a moment; see `Batches`.
        """
        metrics = self._metrics.for_method(service, method, "UNARY")
        known = Method(
            path=f"{service}/{method}",
            metrics=metrics,
            gate=self._gates[call_class] if call_class else None,
            repeatable=repeatable,
            tracer=self._tracer,
        )

        serving, for_operators, running = self._serving, self._for_operators, self._running
        alarms, turns, max_bytes = self._alarms, self._turns, self._max_bytes
        batches = Batches(self._loop) if batched else None

        async def handler(data: bytes, context: Context) -> bytes:
            turns.begin()
            call = Call(known, context, running)
            try:
                access = serving.access
                admit = access.admit_operator if for_operators else access.admit
                now = self._loop.time()
                caller = call.admit(admit, serving.deadlines, now)
                headers, size, names_time = None, 0, False
                if not repeatable:
                    if running.refusing:
                        # What has come is cancelled soon, as something that was not begun.
                        await send_headers(context)
                    else:
                        headers = LateHeaders(context, alarms, now)
                try:
                    batch = batches if batches is not None and batches.wanted() else None
                    if batch is not None:
                        await batch.join()
                    response = await handle(_parse(request_type, data), caller)
                    data = response.SerializeToString()
                    size = len(data)
                    check_size(size, max_bytes)
                    if batch is not None and repeatable:
                        # The others end when those answer that they have asked.
                        await batch.part()
                    if running.holding:
                        await call.hold()
                except UpstreamError as error:
                    names_time = error.reason is Reason.UPSTREAM_RATE_LIMITED
                    raise
                finally:
                    if headers is not None:
                        await headers.settle(size, names_time=names_time)
                metrics.sent()
                return data
            except BaseException as exception:
                await call.fail(exception, draining=running.draining)
                raise
            finally:
                call.end()

        return grpc.unary_unary_rpc_method_handler(handler)

    def stream(
        self,
        service: str,
        method: str,
        request_type: type[_Request],
        handle: HandleStream[_Request],
        *,
        call_class: CallClass | None = None,
        lasting: bool = False,
    ) -> Handler:
        """Return the handler of a method with a stream of responses.

        One that is `lasting` has no deadline but the caller's, and ends as soon as the service is
        told to stop.
        """
        metrics = self._metrics.for_method(service, method, "SERVER_STREAM")
        known = Method(
            path=f"{service}/{method}",
            metrics=metrics,
            gate=self._gates[call_class] if call_class else None,
            repeatable=lasting,
            tracer=self._tracer,
            lasting=lasting,
        )

        serving, for_operators, running = self._serving, self._for_operators, self._running
        turns, max_bytes = self._turns, self._max_bytes

        async def handler(data: bytes, context: Context) -> None:
            turns.begin()
            call = Call(known, context, running)
            try:
                access = serving.access
                admit = access.admit_operator if for_operators else access.admit
                deadlines = NO_DEADLINES if lasting else serving.deadlines
                caller = call.admit(admit, deadlines, self._loop.time())
                stream = Stream(context, metrics, max_bytes)
                # A caller that does not read holds its stream no longer than its deadline.
                async with ending_at(caller.deadline):
                    if not known.repeatable:
                        await stream.begin()
                    await handle(_parse(request_type, data), caller, stream)
                if running.holding:
                    await call.hold()
            except BaseException as exception:
                draining = running.refusing if lasting else running.draining
                await call.fail(exception, draining=draining)
                raise
            finally:
                call.end()

        return grpc.unary_stream_rpc_method_handler(handler)


def check_size(size: int, max_bytes: int) -> None:
    """Raise REQUEST_TOO_LARGE for a response that cannot be sent."""
    if size > max_bytes:
        raise CallError(
            Reason.REQUEST_TOO_LARGE,
            f"the response has {size} bytes, and at most {max_bytes} are sent, which is"
            " server.max_message_bytes",
        )


def _parse(request_type: type[_Request], data: bytes) -> _Request:
    try:
        return request_type.FromString(data)
    except (DecodeError, ValueError):
        raise CallError(
            Reason.REQUEST_INVALID, f"expected a {request_type.DESCRIPTOR.name} message"
        ) from None
