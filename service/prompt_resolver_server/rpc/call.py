"""One call: let in, given its deadline, counted, and ended as whatever went wrong says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from ..domain.errors import Reason, ResolverError
from ..domain.values import Value
from ..entry.access import REQUEST_ID, Admit, make_request_id, request_id
from ..entry.admission import Gate
from ..entry.caller import Caller
from ..entry.deadlines import Deadlines
from ..entry.faults import as_error
from ..entry.record import CallRecord, logs_all_calls
from ..entry.running import LAST_WORDS_S, Running
from ..metrics import CallMetrics
from ..runtime.deadlines import has_passed
from ..tracing import Tracer
from .credentials import peer_names
from .status import to_status

if TYPE_CHECKING:
    # Generic in the stubs alone.
    Context = grpc.aio.ServicerContext[bytes, bytes]


class Method(Value, frozen=True, kw_only=True):
    """A method: its path, its metrics, its gate, and whether it may be called again.

    `tracer` begins the spans of its calls, which are `lasting` if they end when callers want it.
    """

    path: str
    metrics: CallMetrics
    gate: Gate | None
    repeatable: bool
    tracer: Tracer
    lasting: bool = False


class Call:
    """One call that runs: let in, and counted by how it ended."""

    __slots__ = (
        *("_code", "_context", "_gate", "_method"),
        *("_reason", "_record", "_running", "_task"),
    )

    def __init__(self, method: Method, context: Context, running: Running) -> None:
        """Begin it, as what the current task does."""
        task = asyncio.current_task()
        assert task is not None
        method.metrics.begin()
        running.add(task, lasting=method.lasting)
        self._record = CallRecord()
        self._task = task
        self._running = running
        self._method = method
        self._context = context
        self._code = "OK"
        self._reason = ""
        self._gate: Gate | None = None

    def admit(self, admit: Admit, deadlines: Deadlines, now: float) -> Caller:
        """Let the call in, and return who calls. Raises `CallError` and OVERLOADED."""
        context = self._context
        metadata = context.invocation_metadata() or ()
        record = self._record
        record.span = self._method.tracer.begin_rpc(self._method.path, metadata)
        credentials = admit(metadata, self._peer_names)
        record.caller = credentials.caller
        if (gate := self._method.gate) is not None:
            gate.enter()
            self._gate = gate
        return Caller(
            deadline=deadlines.end(now, context.time_remaining()),
            credentials=credentials,
            span=record,
        )

    def _peer_names(self) -> Sequence[str]:
        return peer_names(self._context.auth_context())

    async def hold(self) -> None:
        """Wait with the end until calls may end."""
        # Whoever is told may call again at once, and finds the room that this call had.
        self._leave()
        await self._running.hold_back(self._context.time_remaining())

    async def fail(self, exception: BaseException, *, draining: bool) -> None:
        """Tell the caller what went wrong, if it still listens."""
        error = as_error(exception, draining=draining)
        remaining_s = self._context.time_remaining()
        if error is None:
            # The caller is gone, or its deadline has passed: gRPC knows, and nobody listens.
            expired = remaining_s is not None and has_passed(remaining_s)
            self._code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
            self._reason = "deadline" if expired else "cancelled"
            # One that its caller ended matters little to an operator.
            matters = expired and not self._method.lasting
            self._log(level=logging.WARNING if matters else logging.DEBUG)
            return
        # Whoever waits for longer than there is time gets a deadline that has passed, and no cause.
        in_time = remaining_s is None or (error.retry_after_s or 0.0) < remaining_s
        status = to_status(error, repeatable=self._method.repeatable and in_time)
        self._code = status.code.name
        self._reason = error.reason.lower()
        if error.reason is Reason.INTERNAL:
            self._method.metrics.fault()
        trailers = (*status.trailers, *self._log(error))
        self._running.lasts_no_more(self._task)
        await self.hold()
        try:
            # The end of a stream waits for what the caller has yet to read.
            async with asyncio.timeout(LAST_WORDS_S):
                await self._context.abort(status.code, status.message, trailers)
        except (TimeoutError, grpc.aio.InternalError):
            # The caller does not read, or is gone: there is nobody to tell.
            raise asyncio.CancelledError from None

    def end(self) -> None:
        """Count the call that has ended."""
        self._running.remove(self._task)
        self._leave()
        record = self._record
        self._method.metrics.end(self._code, time.perf_counter() - record.started)
        record.span.end(self._code, self._reason)
        if not self._reason and logs_all_calls():
            self._context.set_trailing_metadata(self._log())

    def _leave(self) -> None:
        if self._gate is not None:
            self._gate.leave()
            self._gate = None

    def _log(
        self, error: ResolverError | None = None, level: int = logging.DEBUG
    ) -> tuple[tuple[str, str], ...]:
        """Write the call's line; return the id that it has there, if the caller does not know it.

        No other call needs an id, and most callers bring none.
        """
        metadata = self._context.invocation_metadata() or ()
        given = request_id(metadata)
        made = given or make_request_id()
        self._record.write(
            method=self._method.path,
            code=self._code,
            reason=self._reason,
            request_id=made,
            metadata=metadata,
            error=error,
            level=level,
        )
        return () if given else ((REQUEST_ID, made),)
