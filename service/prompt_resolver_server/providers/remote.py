"""A provider across the network: a dialect, an endpoint and a transport."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from msgspec.structs import replace

from ..domain.answers import Answer, Delta, Emit, Finish, ModelRequest, Opened
from ..domain.errors import CallError, Reason, UpstreamError
from .assembler import Assembler
from .dialect import Dialect, InBandError, ProtocolError, StreamReader, WireRequest
from .endpoint import Endpoint
from .failures import Failures, retry_after, retry_delay
from .lenience import build_leniently
from .naming import CallNamer, name_calls
from .provider import do_nothing
from .transport.transport import (
    Gathering,
    HttpRequest,
    HttpResponse,
    Portions,
    Transport,
    TransportError,
)

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
# A text has few of what parts its items: a body of nothing else takes ten times its size in memory.
_MAX_MARKS = 1_000_000
_MARKS = (b",", b"{", b"[")
_MAX_WORD = 64
"""How much is kept of a provider's own word for the end of an answer."""
_ERROR_S = 2.0
# Who wants a whole answer need not look at each of its tokens as it comes.
_GATHER_S = 0.25
_WHOLE = "application/json"
_OK = HTTPStatus.OK.value


class RemoteProvider:
    """A `Provider` that speaks a dialect to an endpoint."""

    def __init__(
        self, *, name: str, dialect: Dialect, endpoint: Endpoint, transport: Transport
    ) -> None:
        self._name = name
        self._dialect = dialect
        self._endpoint = endpoint
        self._transport = transport

    @property
    def identity(self) -> Hashable:
        """What it is; see `Provider.identity`."""
        return self._name, self._endpoint.base_url, self._endpoint.account

    @property
    def base_url(self) -> str:
        """Where it is; see `Provider.base_url`."""
        return self._endpoint.base_url

    @property
    def vendor_url(self) -> str:
        """Where its vendor is; see `Provider.vendor_url`."""
        return self._endpoint.vendor_url

    def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Coroutine[Any, Any, Answer]:
        """Return the whole answer; see `Provider.complete`."""
        streamed = self._endpoint.stream_completions
        ask = self._complete_streamed if streamed else self._complete_whole
        return ask(request, caller_key, begun)

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Emit the answer as it arrives; see `Provider.stream`."""
        ended = await self._stream(request, emit, caller_key)
        if isinstance(ended, Answer):
            failures = self._failures(request, caller_key)
            raise failures.of_protocol(f"expected {self._dialect.stream_type}")
        return ended

    async def _complete_streamed(
        self, request: ModelRequest, caller_key: str | None, begun: Callable[[], None]
    ) -> Answer:
        assembler = Assembler()

        async def collect(deltas: Sequence[Delta]) -> None:
            begun()
            assembler.add(deltas)

        ended = await self._stream(request, collect, caller_key, begun=begun, gather_s=_GATHER_S)
        return ended if isinstance(ended, Answer) else assembler.finish(ended)

    async def _complete_whole(
        self, request: ModelRequest, caller_key: str | None, begun: Callable[[], None]
    ) -> Answer:
        wire = self._build(request, stream=False)
        try:
            async with self._transport.post(await self._address(wire, caller_key)) as response:
                if response.status != _OK:
                    raise await self._read_failure(response, request, caller_key)
                _check_encoding(response)
                begun()
                answer = await self._read_whole(response)
        except TransportError as error:
            failures = self._failures(request, caller_key)
            raise failures.of_transport(error, streaming=False) from error
        except (ProtocolError, InBandError) as error:
            raise self._failures(request, caller_key).of_content(error) from error
        return replace(answer, finish=_complete(answer.finish, request, wire))

    async def _stream(
        self,
        request: ModelRequest,
        emit: Emit,
        caller_key: str | None,
        *,
        begun: Callable[[], None] = do_nothing,
        gather_s: float | None = None,
    ) -> Finish | Answer:
        """Emit a streamed answer and return its end, or return a whole one if that is what came.

        What follows the first events may be gathered for a while.
        """
        wire = self._build(request, stream=True)
        with self._named():
            reader = self._dialect.read_stream(self._endpoint.quirks)
        namer = CallNamer()
        gathering = Gathering(gather_s, reader.last_words) if gather_s is not None else None
        streaming = True
        try:
            async with self._transport.post(await self._address(wire, caller_key)) as response:
                if response.status != _OK:
                    raise await self._read_failure(response, request, caller_key)
                _check_encoding(response)
                if _media_type(response) != self._dialect.stream_type:
                    streaming = False
                    begun()
                    answer = await self._read_whole(response)
                    return replace(answer, finish=_complete(answer.finish, request, wire))
                body = Portions(response, MAX_STREAM_BYTES)
                while reader.finish is None:
                    try:
                        chunk = await body.read_some(gathering if reader.chunks else None)
                    except TransportError as error:
                        if error.kind == "too_large" or not reader.is_complete:
                            raise
                        chunk = b""
                    if deltas := reader.feed(chunk):
                        await emit(namer.name(_with_model(deltas, request.model)))
                    if reader.failure is not None:
                        raise reader.failure
                    if not chunk and reader.finish is None:
                        raise TransportError("cut")
        except TransportError as error:
            failures = self._failures(request, caller_key)
            failure = failures.of_transport(error, streaming=streaming)
            raise _with_progress(failure, reader) from error
        except (ProtocolError, InBandError) as error:
            failure = self._failures(request, caller_key).of_content(error)
            raise _with_progress(failure, reader) from error
        return _complete(reader.finish, request, wire)

    def _failures(self, request: ModelRequest, caller_key: str | None) -> Failures:
        return Failures(
            provider=self._name, model=request.model, with_caller_key=caller_key is not None
        )

    def _build(self, request: ModelRequest, *, stream: bool) -> WireRequest:
        quirks = self._endpoint.quirks
        if not self._endpoint.drop_unsupported:
            return self._dialect.build(request, stream=stream, quirks=quirks)
        return build_leniently(request, partial(self._dialect.build, stream=stream, quirks=quirks))

    async def _address(self, wire: WireRequest, caller_key: str | None) -> HttpRequest:
        key = caller_key if caller_key is not None else self._endpoint.find_key()
        if not key and self._endpoint.key_required:
            raise CallError(
                Reason.PROVIDER_KEY_MISSING,
                f"provider {self._name!r} has no key: set {self._endpoint.key_hint}",
                metadata={"provider": self._name},
            )
        if key and not (key.isascii() and key.isprintable()):
            raise CallError(
                Reason.PROVIDER_KEY_MISSING,
                f"provider {self._name!r} has a key that cannot be sent: expected printable ASCII"
                f" in {self._endpoint.key_hint}",
                metadata={"provider": self._name},
            )
        headers = self._dialect.headers(key)
        if key and (also := self._endpoint.quirks.key_headers):
            headers = {**headers, **dict.fromkeys(also, key)}
        # Some are used to give the whole address as the base URL.
        base_url = self._endpoint.base_url.rstrip("/").removesuffix(wire.path)
        request = HttpRequest(
            url=base_url + wire.path,
            headers=headers,
            body=wire.body,
            timeouts=self._endpoint.timeouts,
        )
        signer = self._endpoint.signer
        if key or signer is None:
            return request
        with self._named():
            return await signer.sign(request)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have it told whose an error is that was made where providers have no names."""
        try:
            yield
        except CallError as error:
            error.metadata.setdefault("provider", self._name)
            raise

    async def _read_failure(
        self, response: HttpResponse, request: ModelRequest, caller_key: str | None
    ) -> UpstreamError:
        """Return what a response reports whose status is that of a failure."""
        wait_s = retry_after(response)
        body = b""
        # The status says enough where the body does not come.
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(_ERROR_S):
                body = await response.read_all(_MAX_ERROR_BYTES)
        if wait_s is None:
            wait_s = retry_delay(body)
        reason = self._dialect.classify(response.status, body)
        failures = self._failures(request, caller_key)
        return failures.of_status(response.status, reason, retry_after_s=wait_s)

    async def _read_whole(self, response: HttpResponse) -> Answer:
        if _media_type(response) != _WHOLE:
            raise ProtocolError(f"expected {_WHOLE}")
        body = await response.read_all(MAX_BODY_BYTES)
        if len(body) > _MAX_MARKS and sum(body.count(mark) for mark in _MARKS) > _MAX_MARKS:
            raise TransportError("too_large")
        return name_calls(self._dialect.parse(body))


def _complete(finish: Finish, request: ModelRequest, wire: WireRequest) -> Finish:
    """Return the end of an answer with what the provider has not said of it, and within bounds.

    Not all of them name the model, and none knows which parameters were not sent.
    """
    return replace(
        finish,
        raw_reason=finish.raw_reason[:_MAX_WORD],
        model=finish.model or request.model,
        dropped=wire.dropped,
    )


def _with_model(deltas: Sequence[Delta], model: str) -> Sequence[Delta]:
    """Return deltas whose first names the model, if it tells that an answer begins."""
    match deltas:
        case [Opened(model="") as opened, *others]:
            return [replace(opened, model=model), *others]
        case _:
            return deltas


def _check_encoding(response: HttpResponse) -> None:
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise ProtocolError("an encoding that was not asked for")


def _media_type(response: HttpResponse) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _with_progress(error: UpstreamError, reader: StreamReader) -> UpstreamError:
    if reader.chunks or error.reason is Reason.UPSTREAM_TRUNCATED:
        error.metadata |= {"chunks": str(reader.chunks), "chars": str(reader.characters)}
    return error
