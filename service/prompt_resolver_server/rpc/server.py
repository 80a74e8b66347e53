"""gRPC servers: which services they offer, how they are tuned, and where they listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from typing_extensions import override

from prompt_resolver.v1 import admin_pb2, prompt_resolver_pb2

from ..certificates import CertificateKeeper
from ..entry.serving import Serving
from ..watching.watches import Watches
from .admin import AdminServicer
from .calls import Calls
from .credentials import server_credentials
from .leaving import say_nothing_of_leaving
from .reflection import reflection_handler
from .servicer import PromptResolverServicer
from .watching import WatchServicer

SERVICE = prompt_resolver_pb2.DESCRIPTOR.services_by_name["PromptResolver"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["PromptResolverAdmin"].full_name
READINESS = "readiness"

_MAX_STREAMS = 16_000
_HANDSHAKE_MS = 20_000

if TYPE_CHECKING:
    from .calls import Handler

Handlers: TypeAlias = "Mapping[str, Handler]"
"""The methods of a service, by name."""


def data_handlers(calls: Calls, serving: Serving, watches: Watches) -> Handlers:
    """Return the handlers of `PromptResolver`, by method."""
    pb, servicer = prompt_resolver_pb2, PromptResolverServicer(serving)
    return {
        "Resolve": calls.unary(
            SERVICE,
            "Resolve",
            pb.ResolveRequest,
            servicer.resolve,
            call_class="resolve",
            repeatable=True,
            batched=True,
        ),
        "Complete": calls.unary(
            SERVICE,
            "Complete",
            pb.CompleteRequest,
            servicer.complete,
            call_class="complete",
            batched=True,
        ),
        "CompleteStream": calls.stream(
            SERVICE,
            "CompleteStream",
            pb.CompleteStreamRequest,
            servicer.complete_stream,
            call_class="stream",
        ),
        "WatchPrompts": calls.stream(
            SERVICE,
            "WatchPrompts",
            pb.WatchPromptsRequest,
            WatchServicer(watches, serving).watch,
            call_class="watch",
            lasting=True,
        ),
    }


def admin_handlers(calls: Calls, serving: Serving, *, logs_prompts: bool) -> Handlers:
    """Return the handlers of `PromptResolverAdmin`, by method."""
    pb, servicer = admin_pb2, AdminServicer(serving, logs_prompts=logs_prompts)
    return {
        "ListPrompts": calls.unary(
            ADMIN_SERVICE,
            "ListPrompts",
            pb.ListPromptsRequest,
            servicer.list_prompts,
            repeatable=True,
        ),
        "InvalidatePrompts": calls.unary(
            ADMIN_SERVICE,
            "InvalidatePrompts",
            pb.InvalidatePromptsRequest,
            servicer.invalidate_prompts,
            repeatable=True,
        ),
        "PrefetchPrompts": calls.unary(
            ADMIN_SERVICE,
            "PrefetchPrompts",
            pb.PrefetchPromptsRequest,
            servicer.prefetch_prompts,
            call_class="resolve",
            repeatable=True,
        ),
        "ExplainResolve": calls.unary(
            ADMIN_SERVICE,
            "ExplainResolve",
            pb.ExplainResolveRequest,
            servicer.explain_resolve,
            call_class="resolve",
            repeatable=True,
        ),
    }


@dataclass(frozen=True, slots=True)
class ConnectionAge:
    """How long a connection may be used, and how long calls go on that run on it then."""

    max_s: float
    grace_s: float

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """The channel arguments that say so."""
        return (
            ("grpc.max_connection_age_ms", round(self.max_s * 1000)),
            ("grpc.max_connection_age_grace_ms", round(self.grace_s * 1000)),
        )


class _ByName:
    """A server that finds the methods of its services by their names alone.

    What generated code adds is registered with gRPC as well. That waits for each registered method
    by itself, and for all of them anew at every call, whichever it is.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Leave methods unregistered."""


class _Unknown(grpc.GenericRpcHandler):
    """Counts calls of methods that there are not, which gRPC answers by itself."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        self._count()


class Listener:
    """One gRPC server with one of our services, health, and reflection where it is asked for.

    Made inside of a running event loop. `connections` tells how long one may last; None: for ever.
    `count_unknown` is called for each call of a method that there is not.
    """

    def __init__(
        self,
        service: str,
        handlers: Handlers,
        *,
        max_message_bytes: int,
        with_reflection: bool,
        connections: ConnectionAge | None = None,
        count_unknown: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._health = health.aio.HealthServicer()
        say_nothing_of_leaving(f"/{service}/{name}" for name in handlers)
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                # A burst on one connection waits for its turn; unless told otherwise, gRPC refuses
                # calls at random once a thousand of them wait.
                ("grpc.max_concurrent_streams", _MAX_STREAMS),
                ("grpc.server.max_pending_requests", _MAX_STREAMS),
                ("grpc.server.max_pending_requests_hard_limit", _MAX_STREAMS),
                # Two servers on one port would share its calls without a word.
                ("grpc.so_reuseport", 0),
                # Clients may ping as often as they like: an answer costs less than a microsecond,
                # while gRPC, once it counts pings that come too early, spends more on each than on
                # the one before, and does not close the connection while answers are being sent.
                ("grpc.http2.max_ping_strikes", 0),
                # Its clients give up after twenty seconds, too; unless told otherwise, it waits for
                # two minutes.
                ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.keepalive_time_ms", 60_000),
                *(connections.options if connections else ()),
            )
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, dict(handlers)),)
        )
        by_name = cast("grpc.aio.Server", _ByName(self._server))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, by_name)
        if with_reflection:
            names = (service, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
            self._server.add_generic_rpc_handlers((reflection_handler(names),))
        # The last that is asked for a method.
        self._server.add_generic_rpc_handlers((_Unknown(count_unknown),))

    def bind(self, address: str, certificates: CertificateKeeper | None = None) -> int:
        """Listen at an address, over TLS with certificates, and return the port.

        Raises `OSError` where that cannot be.
        """
        try:
            if certificates is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, server_credentials(certificates))
        except RuntimeError:
            port = 0
        if port == 0:
            raise OSError("cannot listen there")
        return port

    async def start(self) -> None:
        """Begin to serve, and say so to health checks: all but readiness, which comes later."""
        await self._health.set(READINESS, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        for name in ("", self._service):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def become_ready(self) -> None:
        """Tell health checks that all is there that must be, unless the end has begun."""
        await self._health.set(READINESS, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Tell health checks, refuse new calls, and let running ones end in the time given."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
