"""The metrics of calls: of a gRPC method, and of a route of the HTTP door."""

from typing import Literal

from .families import Families
from .tallies import Tally

_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 60, 600),
)

CallType = Literal["UNARY", "SERVER_STREAM"]


class GrpcFamilies:
    """What is counted of gRPC calls, under the names that gRPC dashboards know."""

    def __init__(self, families: Families) -> None:
        method = ("grpc_type", "grpc_service", "grpc_method")
        self.started = families.counter("grpc_server_started", "Calls that began.", method)
        self.handled = families.counter(
            "grpc_server_handled", "Calls that ended, by status code.", (*method, "grpc_code")
        )
        self.received = families.counter("grpc_server_msg_received", "Messages received.", method)
        self.sent = families.counter("grpc_server_msg_sent", "Messages sent.", method)
        self.seconds = families.histogram(
            "grpc_server_handling_seconds",
            "Time from a call's beginning to its end.",
            method,
            _BUCKETS,
        )

    def count_unknown(self) -> None:
        """Count a call of a method that there is not. Its name is the caller's, and no label."""
        labels = ("UNARY", "other", "other")
        self.started[labels].value += 1
        self.handled[*labels, "UNIMPLEMENTED"].value += 1


class HttpFamilies:
    """What is counted of requests to the HTTP doors."""

    def __init__(self, families: Families) -> None:
        self.requests = families.counter(
            "prompt_resolver_http_requests", "Requests that ended, by status.", ("route", "status")
        )
        self.seconds = families.histogram(
            "prompt_resolver_http_request_duration_seconds",
            "Time from a request's beginning to the end of its answer.",
            ("route",),
            _BUCKETS,
        )


class CallMetrics:
    """The metrics of one gRPC method."""

    def __init__(
        self,
        families: GrpcFamilies,
        service: str,
        method: str,
        call_type: CallType,
        faults: Tally,
    ) -> None:
        labels = (call_type, service, method)
        self._started = families.started[labels]
        self._received = families.received[labels]
        self._sent = families.sent[labels]
        self._seconds = families.seconds[labels]
        self._labels = labels
        self._handled = families.handled
        self._faults = faults

    def begin(self) -> None:
        """Count a call that begins, and the message that it brought."""
        self._started.value += 1
        self._received.value += 1

    def sent(self) -> None:
        """Count a message that was sent."""
        self._sent.value += 1

    def fault(self) -> None:
        """Count a call that fails by a fault of ours."""
        self._faults.value += 1

    def end(self, code: str, seconds: float) -> None:
        """Count a call that ended with this status code, by its name, after this time."""
        self._handled[*self._labels, code].value += 1
        self._seconds.observe(seconds)


class RouteMetrics:
    """The metrics of one route of the HTTP door."""

    def __init__(self, families: HttpFamilies, route: str, faults: Tally) -> None:
        self._requests = families.requests
        self._seconds = families.seconds[route,]
        self._route = route
        self._faults = faults

    def fault(self) -> None:
        """Count a request that fails by a fault of ours."""
        self._faults.value += 1

    def end(self, status: int, seconds: float) -> None:
        """Count a request that ended with this status, 499 if its caller left, after this time."""
        self._requests[self._route, str(status)].value += 1
        self._seconds.observe(seconds)
