"""The doors of a running service: where it listens, and what stands behind each of them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields

from aiohttp import web

from ..assembly.callers import build_access, check_callers
from ..assembly.engine import Engine
from ..assembly.protection import check_protection
from ..entry.admission import CallClass, make_gates
from ..entry.deadlines import Deadlines
from ..entry.running import Running
from ..entry.serving import Serving
from ..http.admin import admin_routes
from ..http.browsers import Check, keep_pages_out
from ..http.calls import HttpCalls
from ..http.humanloop.routes import humanloop_routes
from ..http.listener import HttpListener
from ..http.litellm.routes import litellm_routes
from ..http.not_served import not_served
from ..http.openai.routes import chat_routes
from ..http.page.routes import page_routes
from ..http.page.visitors import Visitors
from ..metrics import Metrics
from ..prefetch import Prefetch
from ..rpc.calls import Calls
from ..rpc.server import (
    ADMIN_SERVICE,
    SERVICE,
    ConnectionAge,
    Handlers,
    Listener,
    admin_handlers,
    data_handlers,
)
from ..settings import Loaded
from ..settings.address import Address
from ..settings.server import ServerSettings
from ..tracing import NO_TRACER, Tracer
from ..watching.watches import Watches
from .binding import Binder


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service listens; None for a door that is closed."""

    grpc: Address
    http: Address | None
    admin: Address | None
    admin_grpc: Address | None

    @property
    def ready_line(self) -> str:
        """The line that `serve` prints."""
        line = f"ready grpc={self.grpc} http={self.http or 'off'} admin={self.admin or 'off'}"
        return f"{line} admin_grpc={self.admin_grpc}" if self.admin_grpc else line

    def by_door(self) -> Mapping[str, str]:
        """Return what the log tells of them."""
        doors = {each.name: getattr(self, each.name) for each in fields(self)}
        return {door: str(address or "off") for door, address in doors.items()}


class Doors:
    """All doors of one service, opened and closed together.

    What they hold is released with the stack. `logs_prompts` tells that the log has prompts. Raises
    `ConfigError` for callers that cannot be told apart, and for doors that nothing protects.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        engine: Engine,
        prefetch: Prefetch,
        metrics: Metrics,
        running: Running,
        stack: AsyncExitStack,
        tracer: Tracer = NO_TRACER,
        logs_prompts: bool = False,
    ) -> None:
        check_callers(loaded)
        check_protection(loaded)
        self._loaded = loaded
        self._logs_prompts = logs_prompts
        self._serving = _make_serving(loaded, engine)
        self._prefetch = prefetch
        self._metrics = metrics
        self._running = running
        self._tracer = tracer
        self._turns = engine.turns
        self._stack = stack
        self._binder = Binder(loaded, metrics, stack)
        self._grpc: list[Listener] = []
        self._http: HttpListener | None = None
        self._gates = make_gates(_limits(loaded), metrics)
        self._watches = Watches(engine.resolver.stores, capacity=loaded.settings.cache.max_entries)
        stack.push_async_callback(self._watches.aclose)

    async def open(self) -> Addresses:
        """Open every door that is configured. Raises `ConfigError` where one cannot be opened."""
        admin = await self._open_admin()
        http = await self._open_http()
        grpc = self._bind_data(self._grpc_calls())
        admin_grpc = self._bind_admin(self._grpc_calls(for_operators=True))
        for listener in self._grpc:
            await listener.start()
        if self._prefetch.missing:
            becoming = asyncio.ensure_future(self._become_ready())
            self._stack.callback(becoming.cancel)
        else:
            await self._become_ready()
        return Addresses(grpc, http, admin, admin_grpc)

    def check(self, loaded: Loaded) -> None:
        """Raise `ConfigError` for a configuration that may not be served where the doors are."""
        check_callers(loaded)
        check_protection(loaded)
        opens = build_access(loaded).is_open and not self._serving.access.is_open
        if opens and not loaded.settings.server.insecure:
            # Behind a proxy, a door on loopback is open to those who are not.
            raise loaded.fault(
                ("general_settings", "master_key"),
                "expected one, or callers, as there are now; only a restart, or"
                " server.insecure: true, lets everybody in",
            )

    def adopt(self, loaded: Loaded, engine: Engine, *, lost: Collection[str]) -> None:
        """Serve by another configuration from now on, in one step; see `Replacement.lost`."""
        serving = _make_serving(loaded, engine)
        self._serving.resolver = serving.resolver
        self._serving.access = serving.access
        self._serving.deadlines = serving.deadlines
        for name, limit in _limits(loaded).items():
            self._gates[name].limit = limit
        self._watches.adopt(
            serving.resolver.stores, capacity=loaded.settings.cache.max_entries, lost=lost
        )

    async def close(self, grace_s: float) -> None:
        """Let no new call in, and end those that run once the time given is over."""
        if self._http is not None:
            await self._http.close()
        await asyncio.gather(*(listener.stop(grace_s) for listener in self._grpc))

    async def _become_ready(self) -> None:
        await self._prefetch.wait()
        for listener in self._grpc:
            await listener.become_ready()

    async def _open_admin(self) -> Address | None:
        address = self._binder.read("admin_address", unix=False)
        if address is None:
            return None
        # Not by way of this object: a server lives on for a while in cycles of aiohttp's.
        running, prefetch = self._running, self._prefetch
        probes = admin_routes(
            registry=self._metrics.registry,
            list_obstacles=lambda: (
                ["it is being stopped"]
                if running.refusing
                else [f"not there yet: {each}" for each in prefetch.missing]
            ),
        )
        page = page_routes(
            # It asks every few seconds, which is no trace of anything.
            self._http_calls(Visitors(self._serving).check, NO_TRACER),
            serving=self._serving,
            metrics=self._metrics,
            gates=self._gates,
        )
        listener = HttpListener([*probes, *page])
        return await self._binder.bind_http("admin_address", address, listener, plain=True)

    async def _open_http(self) -> Address | None:
        address = self._binder.read("http_address", unix=False)
        if address is None:
            return None
        calls = self._http_calls(keep_pages_out(self._serving), self._tracer)
        routes = data_routes(calls, self._serving)
        max_bytes = self._loaded.settings.server.max_message_bytes
        self._http = HttpListener(routes, max_body_bytes=max_bytes)
        return await self._binder.bind_http("http_address", address, self._http)

    def _http_calls(self, check: Check, tracer: Tracer) -> HttpCalls:
        return HttpCalls(
            serving=self._serving,
            check=check,
            gates=self._gates,
            running=self._running,
            metrics=self._metrics,
            tracer=tracer,
        )

    def _grpc_calls(self, *, for_operators: bool = False) -> Calls:
        return Calls(
            serving=self._serving,
            gates=self._gates,
            running=self._running,
            metrics=self._metrics,
            max_message_bytes=self._loaded.settings.server.max_message_bytes,
            tracer=self._tracer,
            turns=self._turns,
            for_operators=for_operators,
        )

    def _bind_data(self, calls: Calls) -> Address:
        settings = self._loaded.settings.server
        address = self._binder.read("grpc_address", unix=True)
        assert address is not None
        reflected = address.is_local if settings.reflection is None else settings.reflection
        handlers = data_handlers(calls, self._serving, self._watches)
        return self._bind("grpc_address", address, SERVICE, handlers, reflected=reflected)

    def _bind_admin(self, calls: Calls) -> Address | None:
        address = self._binder.read("admin_grpc_address", unix=True)
        if address is None:
            return None
        handlers = admin_handlers(calls, self._serving, logs_prompts=self._logs_prompts)
        return self._bind(
            "admin_grpc_address", address, ADMIN_SERVICE, handlers, reflected=address.is_local
        )

    def _bind(
        self, key: str, address: Address, service: str, handlers: Handlers, *, reflected: bool
    ) -> Address:
        listener = Listener(
            service,
            handlers,
            max_message_bytes=self._loaded.settings.server.max_message_bytes,
            with_reflection=reflected,
            connections=_connection_age(self._loaded.settings.server),
            count_unknown=self._metrics.unknown_method,
        )
        self._grpc.append(listener)
        return self._binder.bind_grpc(key, address, listener)


def data_routes(calls: HttpCalls, serving: Serving) -> Sequence[web.RouteDef]:
    """Return the routes of the HTTP data door, inside of a running event loop."""
    return [
        *chat_routes(calls, serving),
        *humanloop_routes(calls, serving),
        *litellm_routes(calls, serving),
        not_served(calls),
    ]


def _connection_age(settings: ServerSettings) -> ConnectionAge | None:
    """Return how old connections may get, and calls on them then: as old as any call."""
    if settings.max_connection_age_s is None:
        return None
    return ConnectionAge(settings.max_connection_age_s, settings.max_deadline_s)


def _make_serving(loaded: Loaded, engine: Engine) -> Serving:
    settings = loaded.settings
    return Serving(
        resolver=engine.resolver,
        access=build_access(loaded),
        deadlines=Deadlines(
            default_s=settings.server.default_deadline_s,
            longest_s=settings.server.max_deadline_s,
        ),
    )


def _limits(loaded: Loaded) -> Mapping[CallClass, int]:
    settings = loaded.settings.server
    return {
        "resolve": settings.max_resolves,
        "complete": settings.max_completions,
        "stream": settings.max_streams,
        "watch": settings.max_watches,
    }
