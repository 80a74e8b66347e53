"""What happens to every call, whatever its method: the one wrapper around the servicer's methods.

It is counted, admitted, read and given its deadline, and whatever goes wrong becomes a status. An
exception that nobody foresaw becomes INTERNAL with a random id; its text goes nowhere, as nobody
knows what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from ..answers import Credentials
from ..errors import CallError, Reason, ResolverError, ServerError
from ..logs import where
from ..metrics import CallMetrics, Metrics
from .access import Access, request_id
from .admission import CallClass, Gate
from .status import to_status

_log = logging.getLogger(__name__)

_ABORT_S = 2.0

_Request = TypeVar("_Request", bound=Message)
_Request_contra = TypeVar("_Request_contra", bound=Message, contravariant=True)
_Result = TypeVar("_Result")

if TYPE_CHECKING:
    # Generic in the stubs alone.
    _Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The one who calls: until when, on the event loop's clock, and with which keys of its own."""

    deadline: float
    credentials: Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The deadline of calls that bring none, and the longest one there is, in seconds."""

    default_s: float
    longest_s: float


class Send(Protocol):
    """Sends one message of a stream, and returns when the next one may follow."""

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        ...


class HandleUnary(Protocol[_Request_contra]):
    """A method with one response."""

    async def __call__(self, request: _Request_contra, caller: Caller) -> Message:
        """Return the response."""
        ...


class HandleStream(Protocol[_Request_contra]):
    """A method with a stream of responses."""

    async def __call__(self, request: _Request_contra, caller: Caller, send: Send) -> None:
        """Send the responses."""
        ...


@dataclass(frozen=True, slots=True)
class _Method:
    """A method: its path, its metrics, its gate, and whether it may be called again."""

    path: str
    metrics: CallMetrics
    gate: Gate | None
    repeatable: bool


class Calls:
    """Wraps the methods of the services, and knows the calls that run."""

    def __init__(
        self,
        *,
        access: Access,
        gates: Mapping[CallClass, Gate],
        deadlines: Deadlines,
        metrics: Metrics,
    ) -> None:
        self._access = access
        self._gates = gates
        self._deadlines = deadlines
        self._metrics = metrics
        self._running: set[asyncio.Task[object]] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()

    def end_all(self) -> None:
        """End the calls that still run, with DRAINING."""
        self._draining = True
        for task in self._running:
            task.cancel()

    def unary(
        self,
        service: str,
        method: str,
        request_type: type[_Request],
        handle: HandleUnary[_Request],
        *,
        call_class: CallClass | None = None,
        repeatable: bool = False,
    ) -> Handler:
        """Return the handler of a method with one response."""
        metrics = self._metrics.for_method(service, method, "UNARY")
        gate = self._gates[call_class] if call_class else None
        known = _Method(f"{service}/{method}", metrics, gate, repeatable)

        async def handler(data: bytes, context: _Context) -> bytes:
            async def work(caller: Caller) -> bytes:
                response = await handle(_parse(request_type, data), caller)
                metrics.sent.inc()
                return response.SerializeToString()

            return await self._run(known, context, work)

        return grpc.unary_unary_rpc_method_handler(handler)

    def stream(
        self,
        service: str,
        method: str,
        request_type: type[_Request],
        handle: HandleStream[_Request],
        *,
        call_class: CallClass | None = None,
    ) -> Handler:
        """Return the handler of a method with a stream of responses."""
        metrics = self._metrics.for_method(service, method, "SERVER_STREAM")
        gate = self._gates[call_class] if call_class else None
        known = _Method(f"{service}/{method}", metrics, gate, repeatable=False)

        async def handler(data: bytes, context: _Context) -> None:
            begun = False

            async def send(message: Message) -> None:
                nonlocal begun
                try:
                    if not begun:
                        begun = True
                        await _send_headers(context)
                    await context.write(message.SerializeToString())
                except grpc.aio.InternalError:
                    # The caller is gone: a write that waited fails before gRPC cancels the call.
                    raise asyncio.CancelledError from None
                metrics.sent.inc()

            async def work(caller: Caller) -> None:
                try:
                    # A caller that does not read holds its stream no longer than its deadline.
                    async with asyncio.timeout_at(caller.deadline):
                        await handle(_parse(request_type, data), caller, send)
                except TimeoutError:
                    raise ServerError(
                        Reason.DEADLINE,
                        "the deadline passed while the caller did not read",
                        metadata={"phase": "send", "attempts": "1"},
                    ) from None

            await self._run(known, context, work)

        return grpc.unary_stream_rpc_method_handler(handler)

    async def _run(
        self,
        method: _Method,
        context: _Context,
        work: Callable[[Caller], Awaitable[_Result]],
    ) -> _Result:
        started = time.perf_counter()
        method.metrics.started.inc()
        method.metrics.received.inc()
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self._idle.clear()
        code = "OK"
        entered = None
        caller = ""
        try:
            credentials = self._access.admit(context.invocation_metadata() or ())
            caller = credentials.caller
            if method.gate is not None:
                method.gate.enter()
                entered = method.gate
            return await work(Caller(deadline=self._deadline(context), credentials=credentials))
        except BaseException as exception:
            error = self._as_error(exception)
            if error is None:
                # The caller is gone, or its deadline has passed: gRPC knows, and nobody listens.
                remaining_s = context.time_remaining()
                expired = remaining_s is not None and remaining_s <= 0
                code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
                raise
            status = to_status(error, repeatable=method.repeatable)
            code = status.code.name
            _log_failure(method, context, caller, code, error)
            try:
                # The end of a stream waits for what the caller has yet to read.
                async with asyncio.timeout(_ABORT_S):
                    await context.abort(status.code, status.message, status.trailers)
            except (TimeoutError, grpc.aio.InternalError):
                # The caller does not read, or is gone: there is nobody to tell.
                raise asyncio.CancelledError from None
        finally:
            if entered is not None:
                entered.leave()
            self._running.discard(task)
            if not self._running:
                self._idle.set()
            method.metrics.handled(code, time.perf_counter() - started)

    def _deadline(self, context: _Context) -> float:
        remaining_s = context.time_remaining()
        if remaining_s is None:
            remaining_s = self._deadlines.default_s
        return asyncio.get_running_loop().time() + min(remaining_s, self._deadlines.longest_s)

    def _as_error(self, exception: BaseException) -> ResolverError | None:
        """Return what an exception is to the caller; None if the caller ended the call."""
        match exception:
            case ResolverError():
                return exception
            case asyncio.CancelledError() if self._draining:
                return ServerError(Reason.DRAINING, "this server is shutting down")
            case Exception():
                error_id = secrets.token_hex(8)
                _log.error(
                    "a fault of this server",
                    extra={
                        "error_id": error_id,
                        "type": type(exception).__name__,
                        "where": where(exception),
                    },
                )
                return ServerError(
                    Reason.INTERNAL,
                    f"a fault of this server; its log tells more of {error_id}",
                    metadata={"error_id": error_id},
                )
            case _:
                return None


async def _send_headers(context: _Context) -> None:
    """Send what comes before the first message, and be done with it whoever cancels.

    They would go with the message. But if that is cut off, as it may be while it waits to be read,
    gRPC takes them for unsent, sends them with the status once more, and thereby fails to send it.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.gather(sending, return_exceptions=True)
        raise


def _parse(request_type: type[_Request], data: bytes) -> _Request:
    try:
        return request_type.FromString(data)
    except (DecodeError, ValueError):
        raise CallError(
            Reason.REQUEST_INVALID, f"expected a {request_type.DESCRIPTOR.name} message"
        ) from None


def _log_failure(
    method: _Method, context: _Context, caller: str, code: str, error: ResolverError
) -> None:
    level = logging.INFO if code in _OF_THE_CALLER else logging.WARNING
    _log.log(
        level,
        "a call failed",
        extra={
            "method": method.path,
            "code": code,
            "reason": str(error.reason),
            "caller": caller,
            "request_id": request_id(context.invocation_metadata() or ()),
            "details": error.metadata,
        },
    )


_OF_THE_CALLER = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"}
)
