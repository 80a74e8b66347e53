"""The composition root: builds everything, runs it, and ends it in the right order."""

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from .assembly import ProviderFactory, build_alias_providers, build_aliases, build_sources
from .dispatch.dispatcher import Dispatcher
from .dispatch.notation import Notation
from .http.admin import AdminDoor
from .metrics import Metrics
from .providers.aiohttp_transport import AiohttpTransport
from .providers.direct_transport import DirectTransport
from .providers.routed_transport import RoutedTransport
from .rendering import Renderer
from .resolver import Resolver
from .rpc.access import Access
from .rpc.admission import make_gates
from .rpc.call import Deadlines
from .rpc.calls import Calls
from .rpc.server import ADMIN_SERVICE, SERVICE, Listener, admin_handlers, data_handlers
from .scheduling import yielding_threads
from .settings import Loaded
from .settings.address import Address, parse_address
from .sockets import SocketFile
from .templates.cache import CacheLimits, TemplateCache

_log = logging.getLogger(__name__)

# What the calls that are cut off at the end of the drain get for telling their callers so.
_LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a running service listens; None for a door that is closed."""

    grpc: Address
    admin: Address | None
    admin_grpc: Address | None

    @property
    def ready_line(self) -> str:
        """The line that `serve` prints."""
        line = f"ready grpc={self.grpc} http=off admin={self.admin or 'off'}"
        return f"{line} admin_grpc={self.admin_grpc}" if self.admin_grpc else line


async def serve(
    loaded: Loaded, *, version: str, on_ready: Callable[[Doors], Awaitable[None]]
) -> None:
    """Run the service until SIGTERM or SIGINT; a second one cuts the drain short.

    `on_ready` is called once every door is open. Raises `ConfigError` for a configuration that
    cannot be served.
    """
    settings = loaded.settings.server
    stopping = _Stopping()
    async with AsyncExitStack() as stack:
        metrics = Metrics(CollectorRegistry(), version=version)
        resolver = await _build_resolver(loaded, metrics, stack)
        calls = Calls(
            access=Access(
                master_key=loaded.settings.general_settings.master_key,
                callers={name: row.token for name, row in loaded.settings.callers.items()},
            ),
            gates=make_gates(
                {
                    "resolve": settings.max_resolves,
                    "complete": settings.max_completions,
                    "stream": settings.max_streams,
                },
                metrics,
            ),
            deadlines=Deadlines(
                default_s=settings.default_deadline_s, longest_s=settings.max_deadline_s
            ),
            metrics=metrics,
        )
        listeners: list[Listener] = []
        admin = None
        if settings.admin_address:
            admin = await _open_admin(loaded, metrics, stopping, stack)
        with yielding_threads() if settings.yielding_threads else nullcontext():
            grpc_door = _bind_data(loaded, calls, resolver, listeners, stack)
            admin_grpc = _bind_admin_grpc(loaded, calls, listeners, stack)
            for listener in listeners:
                await listener.start()
        stopping.listen(asyncio.get_running_loop())
        await on_ready(Doors(grpc_door, admin, admin_grpc))
        await stopping.asked.wait()
        _log.info("draining", extra={"drain_s": settings.drain_s})
        await _drain(listeners, calls, stopping, settings.drain_s)


async def _build_resolver(loaded: Loaded, metrics: Metrics, stack: AsyncExitStack) -> Resolver:
    tls = _build_tls(loaded)
    sources, default_store = build_sources(loaded, tls)
    cache = loaded.settings.cache
    templates = TemplateCache(
        sources=sources,
        default_store=default_store,
        metrics=metrics,
        limits=CacheLimits(
            max_entries=cache.max_entries,
            max_bytes=cache.max_bytes,
            negative_ttl_s=cache.negative_ttl_s,
        ),
    )
    stack.push_async_callback(templates.aclose)
    find_proxy = loaded.environment.proxy_for
    transport = RoutedTransport(
        direct=DirectTransport(tls=tls),
        proxied=AiohttpTransport(tls=tls, find_proxy=find_proxy),
        find_proxy=find_proxy,
    )
    stack.push_async_callback(transport.aclose)
    factory = ProviderFactory(loaded, transport)
    providers = factory.make_all()
    notation = Notation(stores=sources, providers=providers)
    aliases = build_aliases(loaded, notation)
    return Resolver(
        templates=templates,
        renderer=Renderer(),
        notation=notation,
        aliases=aliases,
        dispatcher=Dispatcher(
            providers=providers,
            alias_providers=build_alias_providers(loaded, notation, aliases, factory),
            metrics=metrics,
        ),
        metrics=metrics,
    )


def _build_tls(loaded: Loaded) -> ssl.SSLContext:
    ca_file = loaded.settings.server.ca_file
    try:
        return ssl.create_default_context(cafile=loaded.folder / ca_file if ca_file else None)
    except OSError:
        raise loaded.fault(
            ("server", "ca_file"), "expected a readable file of certificates"
        ) from None


async def _open_admin(
    loaded: Loaded, metrics: Metrics, stopping: "_Stopping", stack: AsyncExitStack
) -> Address:
    address = parse_address(loaded.settings.server.admin_address, unix=False)
    door = AdminDoor(registry=metrics.registry, is_ready=lambda: not stopping.asked.is_set())
    stack.push_async_callback(door.aclose)
    try:
        port = await door.start(address.host.strip("[]"), address.port)
    except OSError as error:
        raise _cannot_listen(loaded, "admin_address", error) from None
    return Address(address.host, port)


def _bind_data(
    loaded: Loaded,
    calls: Calls,
    resolver: Resolver,
    listeners: list[Listener],
    stack: AsyncExitStack,
) -> Address:
    settings = loaded.settings.server
    address = parse_address(settings.grpc_address, unix=True)
    protected = bool(loaded.settings.callers) or (
        loaded.settings.general_settings.master_key is not None
    )
    if not (address.is_local or protected or settings.insecure):
        raise loaded.fault(
            ("server", "grpc_address"),
            "expected general_settings.master_key, callers, or insecure: true beyond loopback",
        )
    reflected = address.is_local if settings.reflection is None else settings.reflection
    listener = Listener(
        SERVICE,
        data_handlers(calls, resolver),
        max_message_bytes=settings.max_message_bytes,
        with_reflection=reflected,
    )
    listeners.append(listener)
    return _bind(loaded, "grpc_address", listener, address, stack)


def _bind_admin_grpc(
    loaded: Loaded, calls: Calls, listeners: list[Listener], stack: AsyncExitStack
) -> Address | None:
    settings = loaded.settings.server
    if not settings.admin_grpc_address:
        return None
    address = parse_address(settings.admin_grpc_address, unix=True)
    listener = Listener(
        ADMIN_SERVICE,
        admin_handlers(calls),
        max_message_bytes=settings.max_message_bytes,
        with_reflection=address.is_local,
    )
    listeners.append(listener)
    return _bind(loaded, "admin_grpc_address", listener, address, stack)


def _bind(
    loaded: Loaded, key: str, listener: Listener, address: Address, stack: AsyncExitStack
) -> Address:
    try:
        if address.path:
            file = SocketFile(address.path)
            stack.callback(file.release)
            with file.binding(int(loaded.settings.server.unix_socket_mode, 8)):
                listener.bind(str(address))
            return address
        # gRPC's own failure is a page of text on standard error.
        _probe(address)
        return Address(address.host, listener.bind(str(address)))
    except OSError as error:
        raise _cannot_listen(loaded, key, error) from None


def _probe(address: Address) -> None:
    host = address.host.strip("[]")
    family, kind, protocol, _, target = socket.getaddrinfo(
        host, address.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(target)


def _cannot_listen(loaded: Loaded, key: str, error: OSError) -> Exception:
    address = getattr(loaded.settings.server, key)
    # A host that is not known has a number of another kind.
    number = error.errno or 0
    cause = (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()
    return loaded.fault(("server", key), f"expected a free address, got {address}: {cause}")


async def _drain(
    listeners: list[Listener], calls: Calls, stopping: "_Stopping", drain_s: float
) -> None:
    """Refuse new calls, let running ones end, and end those that do not.

    Health checks that watch are not waited for: they would last as long as their clients.
    """
    refusing = asyncio.gather(
        *(listener.stop(drain_s + 2 * _LAST_WORDS_S) for listener in listeners)
    )
    idle = asyncio.ensure_future(calls.idle())
    hurry = asyncio.ensure_future(stopping.asked_again.wait())
    await asyncio.wait({idle, hurry}, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
    if not idle.done():
        calls.end_all()
        await asyncio.wait({idle}, timeout=_LAST_WORDS_S)
    idle.cancel()
    hurry.cancel()
    await asyncio.gather(*(listener.stop(0) for listener in listeners))
    await refusing


class _Stopping:
    """Whether the service has been told to stop, once or twice."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.asked_again = asyncio.Event()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask)

    def _ask(self) -> None:
        (self.asked_again if self.asked.is_set() else self.asked).set()
