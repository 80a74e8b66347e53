"""The engine in the process of its callers, with what goes through the gRPC door, but no door.

It means what the door means, since the door's own parts read the requests, and write the answers
and the errors. What bounds a server does not hold here: tokens, how many calls run at once, and how
large they are.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from typing import TypeAlias, Unpack

from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

# From its modules: what the package imports when it is asked for has to wait for a fork.
from prompt_resolver import __version__
from prompt_resolver.errors import ConfigurationError, PromptResolverError, from_status
from prompt_resolver.requests import (
    CompleteOptions,
    ResolveOptions,
    complete_request,
    resolve_request,
)
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from .assembly.configuration import load_configuration
from .assembly.engine import build_resolver
from .entry.access import Access
from .entry.caller import Caller
from .entry.deadlines import Deadlines, ending_at
from .entry.faults import as_error
from .entry.serving import Serving
from .logs import hide_requests, tell_fault_of_loop, write_requests
from .metrics import Metrics
from .prefetch import Prefetch
from .resolving.resolver import Resolver
from .rpc.servicer import PromptResolverServicer
from .rpc.status import to_status
from .runtime.threads import Threads
from .settings import ConfigError, Loaded
from .templates.web import import_client

_log = logging.getLogger(__name__)

# As many as Python's own loops have on a machine of many cores.
_THREADS = 32
# How many events of a stream may wait for their reader, before the provider has to.
_AHEAD = 16

# What whoever writes it may expect of these calls, too.
_OF_SERVICES = ("tracing", "metrics")

_Event: TypeAlias = pb.CompleteStreamResponse | PromptResolverError | None
"""An event of a stream, or its end: an error, or None for a good one."""


async def open_in_process(
    environ: Mapping[str, str],
    *,
    is_verbose: Callable[[], bool],
    importing: Callable[[], AbstractContextManager[object]],
) -> "InProcessClient":
    """Return the engine of `PROMPT_RESOLVER_CONFIG` or the defaults, in the running event loop.

    `is_verbose` tells for each call whether requests to providers are shown on standard error.
    Threads import within `importing`, while the process is not forked. Raises `ConfigurationError`.
    """
    # Otherwise a thread would import it later, and if the process forks meanwhile, never again.
    import_client()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_fault_of_loop)
    loop.set_default_executor(Threads(_THREADS, "prompt-resolver"))
    try:
        loaded = load_configuration(None, environ)
        client = await open_engine(loaded, is_verbose=is_verbose, importing=importing)
    except ConfigError as error:
        raise ConfigurationError(str(error)) from None
    for name in loaded.without_effect:
        _log.warning("a setting has no effect in this version: %s", name)
    for name in _OF_SERVICES:
        if name in loaded.settings.model_fields_set:
            _log.warning("a setting has no effect but in a service: %s", name)
    for name in loaded.absent_keys:
        _log.warning("a key's file is not there yet: %s", name)
    return client


async def open_engine(
    loaded: Loaded,
    *,
    is_verbose: Callable[[], bool] = lambda: False,
    importing: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> "InProcessClient":
    """Return the engine of a configuration, in the running event loop. Raises `ConfigError`."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(CollectorRegistry(), version=__version__)
        resolver = await build_resolver(
            loaded, metrics, stack, trace_requests=True, importing=importing
        )
        prefetch = Prefetch(resolver.catalogue, loaded.settings.prefetch, metrics)
        stack.push_async_callback(prefetch.aclose)
        prefetch.start()
        return InProcessClient(loaded, resolver, stack.pop_all(), is_verbose)


class InProcessClient:
    """What `AsyncPromptResolverClient` is, of an engine in this process.

    Made and used inside of one event loop.
    """

    uses_grpc = False

    def __init__(
        self,
        loaded: Loaded,
        resolver: Resolver,
        stack: AsyncExitStack,
        is_verbose: Callable[[], bool],
    ) -> None:
        settings = loaded.settings.server
        self._serving = Serving(
            resolver=resolver,
            access=Access(master_key=None),
            deadlines=Deadlines(
                default_s=settings.default_deadline_s, longest_s=settings.max_deadline_s
            ),
        )
        self._servicer = PromptResolverServicer(self._serving)
        self._loop = asyncio.get_running_loop()
        self._stack = stack
        self._is_verbose = is_verbose
        self._shown: bool | None = None

    async def resolve(
        self, prompt_id: str = "", **options: Unpack[ResolveOptions]
    ) -> pb.ResolveResponse:
        """Return a rendered prompt. Raises `PromptResolverError`."""
        request = resolve_request(prompt_id, options)
        with _telling_callers():
            return await self._servicer.resolve(request, self._begin(options))

    async def complete(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> pb.CompleteResponse:
        """Return a model's whole answer to a prompt. Raises `PromptResolverError`."""
        request = complete_request(pb.CompleteRequest, prompt_id, options)
        with _telling_callers():
            return await self._servicer.complete(request, self._begin(options))

    async def complete_stream(
        self, prompt_id: str = "", **options: Unpack[CompleteOptions]
    ) -> AsyncGenerator[pb.CompleteStreamResponse, None]:
        """Yield a model's answer as it arrives. Raises `PromptResolverError`."""
        request = complete_request(pb.CompleteStreamRequest, prompt_id, options)
        events: asyncio.Queue[_Event] = asyncio.Queue(_AHEAD)

        async def send(message: Message) -> None:
            assert isinstance(message, pb.CompleteStreamResponse)
            await events.put(message)

        async def produce() -> None:
            ended: _Event = None
            try:
                with _telling_callers():
                    caller = self._begin(options)
                    async with ending_at(caller.deadline):
                        await self._servicer.complete_stream(request, caller, send)
            except PromptResolverError as error:
                ended = error
            await events.put(ended)

        producing = asyncio.ensure_future(produce())
        try:
            while isinstance(event := await events.get(), pb.CompleteStreamResponse):
                yield event
            if event is not None:
                raise event
        finally:
            producing.cancel()
            await asyncio.gather(producing, return_exceptions=True)

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()

    def _begin(self, options: ResolveOptions) -> Caller:
        if (shown := self._is_verbose()) != self._shown:
            self._shown = shown
            (write_requests if shown else hide_requests)()
        return Caller(
            deadline=self._serving.deadlines.end(self._loop.time(), options.get("timeout_s")),
            credentials=self._serving.access.admit((options.get("credentials") or {}).items()),
        )


@contextmanager
def _telling_callers() -> Iterator[None]:
    """Turn whatever goes wrong into what a caller of the service would be told."""
    try:
        yield
    except Exception as exception:  # noqa: BLE001  # it is the end of a call
        error = as_error(exception, draining=False)
        assert error is not None
        status = to_status(error, repeatable=False)
        raise from_status(status.code, status.message, status.trailers) from None
