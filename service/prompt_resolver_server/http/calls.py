"""What happens to every HTTP call of a data door, whatever its route.

It is counted, admitted, read and given its deadline, and whatever goes wrong becomes an answer of
the route's own form. The request's headers say who calls, with which keys, until when and under
which id; the door has no logic beyond that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from aiohttp import web

from ..domain.errors import CallError, Reason, ResolverError, ServerError, invalid_request
from ..entry.admission import CallClass, Gate
from ..entry.caller import Caller
from ..entry.deadlines import OVERTIME_S, ending_at
from ..entry.faults import as_error
from ..entry.record import CallRecord, logs_all_calls
from ..entry.running import LAST_WORDS_S, Running
from ..entry.serving import Serving
from ..metrics import Metrics
from ..tracing import NO_TRACER, Tracer
from .browsers import Check
from .headers import (
    NO_KEY_HEADERS,
    KeyHeaders,
    error_headers,
    read_deadline,
    read_metadata,
    read_request_id,
)
from .peers import peer_names

_SERVER = {"Server": "prompt-resolver"}


class ErrorForm(Protocol):
    """How one API tells its errors."""

    def status(self, error: ResolverError) -> int:
        """Return the HTTP status of an error."""
        ...

    def body(self, error: ResolverError) -> bytes:
        """Return an error as a JSON document."""
        ...

    def event(self, error: ResolverError) -> bytes:
        """Return an error as what a stream ends in."""
        ...


class HttpCall:
    """One call that runs."""

    def __init__(self, request: web.Request, gates: Mapping[CallClass, Gate]) -> None:
        self.request = request
        self.request_id = read_request_id(request.headers)
        self.record = CallRecord()
        self.stream: web.StreamResponse | None = None
        self.latest = 0.0
        """When it has to end at the latest, if its body asks for more time than calls have."""
        self.limit: asyncio.Timeout | None = None
        self._gates = gates
        self._gate: Gate | None = None

    def enter(self, call_class: CallClass) -> None:
        """Count as a call of this class. Raises OVERLOADED where too many run."""
        gate = self._gates[call_class]
        gate.enter()
        self._gate = gate

    def leave(self) -> None:
        """Count no longer."""
        if self._gate is not None:
            self._gate.leave()
            self._gate = None

    def take_until(self, deadline: float) -> None:
        """Have another deadline from now on, on the event loop's clock."""
        if self.limit is not None:
            self.limit.reschedule(deadline + OVERTIME_S)

    def find_peer_names(self) -> Sequence[str]:
        """Return the names in the certificate that the caller has shown."""
        transport = self.request.transport
        return peer_names(transport.get_extra_info("peercert")) if transport is not None else ()

    def left(self, now: float) -> float | None:
        """How long it may go on, by the event loop's clock, or None if nobody has said."""
        until = self.limit.when() if self.limit is not None else None
        return until - OVERTIME_S - now if until is not None else None

    async def read(self) -> bytes:
        """Return the request's body. Raises REQUEST_TOO_LARGE and REQUEST_INVALID."""
        if self.request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise invalid_request("content-encoding", "expected none, as bodies are read as sent")
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge as error:
            limit = self.request.app._client_max_size  # noqa: SLF001  # there is no other way
            raise CallError(
                Reason.REQUEST_TOO_LARGE,
                f"expected at most {limit} bytes in a request, which is server.max_message_bytes",
            ) from error

    async def begin_stream(self, headers: Mapping[str, str]) -> None:
        """Begin to answer with events."""
        stream = web.StreamResponse(headers={**_SERVER, "x-request-id": self.request_id, **headers})
        with _seeing_who_left():
            await stream.prepare(self.request)
        self.stream = stream

    async def send(self, events: bytes) -> None:
        """Send some events, and return when more may follow."""
        assert self.stream is not None
        with _seeing_who_left():
            await self.stream.write(events)


@contextmanager
def _seeing_who_left() -> Iterator[None]:
    """End the call if its caller is gone: a write may fail before the call is cancelled."""
    try:
        yield
    except ConnectionError:
        raise asyncio.CancelledError from None


Handle = Callable[[HttpCall, Caller], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpCalls:
    """Wraps the handlers of a door's routes. Made inside of a running event loop.

    `check` is asked of every request that is let in.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        check: Check,
        gates: Mapping[CallClass, Gate],
        running: Running,
        metrics: Metrics,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._serving = serving
        self._check = check
        self._gates = gates
        self._running = running
        self._metrics = metrics
        self._tracer = tracer
        self._loop = asyncio.get_running_loop()

    def wrap(
        self, route: str, handle: Handle, form: ErrorForm, *, keys: KeyHeaders = NO_KEY_HEADERS
    ) -> Handler:
        """Return the handler of a route, whose name counts in the metrics.

        `keys` are the headers that may bring the token as well.
        """
        metrics = self._metrics.for_route(route)

        async def handler(request: web.Request) -> web.StreamResponse:
            task = asyncio.current_task(self._loop)
            assert task is not None
            call = HttpCall(request, self._gates)
            status, reason, error = 499, "cancelled", None
            try:
                self._running.add(task)
                call.record.span = self._tracer.begin_http(
                    request.method, _path_of(request), read_metadata(request.headers)
                )
                response = await self._serve(call, handle, keys)
                call.leave()
                await self._running.hold_back(call.left(self._loop.time()))
                status, reason = response.status, ""
                if not response.prepared:
                    response.headers.update(_SERVER, **{"x-request-id": call.request_id})
                    if self._running.refusing:
                        # The next call would meet the end of the connection.
                        response.force_close()
            except BaseException as exception:
                error = as_error(exception, draining=self._running.draining)
                if error is None:
                    raise
                status, reason = form.status(error), error.reason.lower()
                if error.reason is Reason.INTERNAL:
                    metrics.fault()
                _log_call(route, call, status, reason, error)
                # Whoever is told may call again at once, and finds the room that this call had.
                call.leave()
                await self._running.hold_back(call.left(self._loop.time()))
                response = await self._tell(call, error, form)
            finally:
                call.leave()
                self._running.remove(task)
                metrics.end(status, time.perf_counter() - call.record.started)
                call.record.span.end(status, reason)
                if error is None and logs_all_calls():
                    _log_call(route, call, status, reason)
            return response

        return handler

    async def _serve(self, call: HttpCall, handle: Handle, keys: KeyHeaders) -> web.StreamResponse:
        if self._running.refusing:
            raise ServerError(Reason.DRAINING, "this server is shutting down")
        headers = call.request.headers
        if keys.spare and call.find_peer_names():
            keys = NO_KEY_HEADERS
        credentials = self._serving.access.admit(read_metadata(headers, keys), call.find_peer_names)
        call.record.caller = credentials.caller
        self._check(call.request, credentials)
        now, asked_s = self._loop.time(), read_deadline(headers)
        deadline = self._serving.deadlines.end(now, asked_s)
        call.latest = self._serving.deadlines.latest(now, asked_s)
        caller = Caller(deadline=deadline, credentials=credentials, span=call.record)
        # A caller that sends or reads nothing holds its call no longer than its deadline.
        async with ending_at(deadline, awaited="send or read") as call.limit:
            return await handle(call, caller)

    async def _tell(
        self, call: HttpCall, error: ResolverError, form: ErrorForm
    ) -> web.StreamResponse:
        if call.stream is None:
            response = web.Response(
                status=form.status(error),
                body=form.body(error),
                headers={
                    **_SERVER,
                    "Content-Type": "application/json",
                    "x-request-id": call.request_id,
                    **error_headers(error),
                },
            )
            if self._running.refusing:
                # The next call would meet the end of the connection.
                response.force_close()
            return response
        # What has begun with 200 must not end as if all were well: the connection is cut, so that
        # those notice as well who read no events.
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await call.stream.write(form.event(error))
        except (TimeoutError, ConnectionError):
            pass
        if call.request.transport is not None:
            call.request.transport.close()
        return call.stream


def _log_call(
    route: str, call: HttpCall, status: int, reason: str, error: ResolverError | None = None
) -> None:
    call.record.write(
        method=route,
        code=status,
        reason=reason,
        request_id=call.request_id,
        metadata=read_metadata(call.request.headers),
        error=error,
    )


def _path_of(request: web.Request) -> str:
    """Return the path of a request's route, in which what a caller chose has a name instead."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
