"""One call: let in, given its deadline, counted, and ended as whatever went wrong says.

An exception that nobody foresaw becomes INTERNAL with a random id; its text goes nowhere, as nobody
knows what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

import grpc

from ..answers import Credentials
from ..errors import Reason, ResolverError, ServerError
from ..logs import where
from ..metrics import CallMetrics
from ..values import Value
from .access import Access, request_id
from .admission import Gate
from .status import to_status

_log = logging.getLogger(__name__)

_ABORT_S = 2.0
_OF_THE_CALLER = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"}
)

if TYPE_CHECKING:
    # Generic in the stubs alone.
    Context = grpc.aio.ServicerContext[bytes, bytes]


class Caller(Value, frozen=True, kw_only=True):
    """The one who calls: until when, on the event loop's clock, and with which keys of its own."""

    deadline: float
    credentials: Credentials


class Deadlines(Value, frozen=True, kw_only=True):
    """The deadline of calls that bring none, and the longest one there is, in seconds."""

    default_s: float
    longest_s: float


class Method(Value, frozen=True, kw_only=True):
    """A method: its path, its metrics, its gate, and whether it may be called again."""

    path: str
    metrics: CallMetrics
    gate: Gate | None
    repeatable: bool


class Call:
    """One call that runs: let in, and counted by how it ended."""

    __slots__ = ("_code", "_context", "_gate", "_method", "_name", "_started", "task")

    def __init__(self, method: Method, context: Context, task: asyncio.Task[Any]) -> None:
        self._started = time.perf_counter()
        self.task = task
        self._method = method
        self._context = context
        self._code = "OK"
        self._gate: Gate | None = None
        self._name = ""

    def admit(self, access: Access, deadlines: Deadlines, now: float) -> Caller:
        """Let the call in, and return who calls. Raises `CallError` and OVERLOADED."""
        context = self._context
        credentials = access.admit(context.invocation_metadata() or ())
        self._name = credentials.caller
        if (gate := self._method.gate) is not None:
            gate.enter()
            self._gate = gate
        remaining_s = context.time_remaining()
        if remaining_s is None:
            remaining_s = deadlines.default_s
        return Caller(
            deadline=now + min(remaining_s, deadlines.longest_s),
            credentials=credentials,
        )

    async def fail(self, exception: BaseException, *, draining: bool) -> None:
        """Tell the caller what went wrong, if it still listens."""
        error = _as_error(exception, draining=draining)
        if error is None:
            # The caller is gone, or its deadline has passed: gRPC knows, and nobody listens.
            remaining_s = self._context.time_remaining()
            expired = remaining_s is not None and remaining_s <= 0
            self._code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
            return
        status = to_status(error, repeatable=self._method.repeatable)
        self._code = status.code.name
        self._log_failure(error)
        # The end of a stream waits for what the caller has yet to read.
        async with asyncio.timeout(_ABORT_S):
            await self._context.abort(status.code, status.message, status.trailers)

    def end(self) -> None:
        """Count the call that has ended."""
        if self._gate is not None:
            self._gate.leave()
        self._method.metrics.end(self._code, time.perf_counter() - self._started)

    def _log_failure(self, error: ResolverError) -> None:
        _log.log(
            logging.INFO if self._code in _OF_THE_CALLER else logging.WARNING,
            "a call failed",
            extra={
                "method": self._method.path,
                "code": self._code,
                "reason": str(error.reason),
                "caller": self._name,
                "request_id": request_id(self._context.invocation_metadata() or ()),
                "details": error.metadata,
            },
        )


def _as_error(exception: BaseException, *, draining: bool) -> ResolverError | None:
    """Return what an exception is to the caller; None if the caller ended the call."""
    match exception:
        case ResolverError():
            return exception
        case asyncio.CancelledError() if draining:
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
