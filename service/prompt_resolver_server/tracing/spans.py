"""What is traced, and the tracer that traces nothing."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from ..domain.answers import Cost, Finish, ModelRequest
from ..domain.prompts import PromptRef, ServedTemplate

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


class AttemptSpan(Protocol):
    """The span of one request to a provider."""

    def opened(self, answer_id: str, seconds: float) -> None:
        """Note the first event of a stream, after this time."""
        ...

    def answered(self, answer_id: str, finish: Finish) -> None:
        """Note a whole answer."""
        ...

    def end(self, outcome: str) -> None:
        """End the span: `ok`, `cancelled`, or a reason in lower case."""
        ...


class CallSpan(Protocol):
    """The span of one call. Whoever begins it ends it."""

    @property
    def trace_id(self) -> str:
        """The id of the trace that the call is part of, in hexadecimal; empty if it is in none."""
        ...

    def asked(self, prompt: PromptRef, alias: str | None) -> None:
        """Note what is asked for, as the caller names it."""
        ...

    def served(self, served: ServedTemplate) -> None:
        """Note which template was served, and how; a later one takes its place."""
        ...

    def labelled(self, labels: Mapping[str, str]) -> None:
        """Note the labels that the caller gave the call."""
        ...

    def charged(self, cost: Cost) -> None:
        """Note what the answer cost."""
        ...

    def attempt(
        self,
        *,
        provider: str,
        base_url: str,
        request: ModelRequest,
        served: ServedTemplate | None,
        stream: bool,
    ) -> AttemptSpan:
        """Begin the span of a request to a provider."""
        ...

    def end(self, code: str | int, reason: str = "") -> None:
        """End the span with the status that the caller got, and the reason if it is a failure."""
        ...


class Tracer(Protocol):
    """Begins the spans of calls. A call's parent comes in its `traceparent`, as W3C has it."""

    def begin_rpc(self, method: str, metadata: Metadata) -> CallSpan:
        """Begin the span of a gRPC call of `package.Service/Method`."""
        ...

    def begin_http(self, method: str, route: str, metadata: Metadata) -> CallSpan:
        """Begin the span of an HTTP request to a route."""
        ...

    async def aclose(self) -> None:
        """Deliver what there is, in a moment."""
        ...


class _NoAttempt:
    def opened(self, answer_id: str, seconds: float) -> None:
        """See `AttemptSpan.opened`."""

    def answered(self, answer_id: str, finish: Finish) -> None:
        """See `AttemptSpan.answered`."""

    def end(self, outcome: str) -> None:
        """See `AttemptSpan.end`."""


class _NoSpan:
    trace_id = ""

    def asked(self, prompt: PromptRef, alias: str | None) -> None:
        """See `CallSpan.asked`."""

    def served(self, served: ServedTemplate) -> None:
        """See `CallSpan.served`."""

    def labelled(self, labels: Mapping[str, str]) -> None:
        """See `CallSpan.labelled`."""

    def charged(self, cost: Cost) -> None:
        """See `CallSpan.charged`."""

    def attempt(
        self,
        *,
        provider: str,
        base_url: str,
        request: ModelRequest,
        served: ServedTemplate | None,
        stream: bool,
    ) -> AttemptSpan:
        """See `CallSpan.attempt`."""
        return NO_ATTEMPT

    def end(self, code: str | int, reason: str = "") -> None:
        """See `CallSpan.end`."""


class _NoTracer:
    def begin_rpc(self, method: str, metadata: Metadata) -> CallSpan:
        """See `Tracer.begin_rpc`."""
        return NO_SPAN

    def begin_http(self, method: str, route: str, metadata: Metadata) -> CallSpan:
        """See `Tracer.begin_http`."""
        return NO_SPAN

    async def aclose(self) -> None:
        """See `Tracer.aclose`."""


NO_ATTEMPT: AttemptSpan = _NoAttempt()
NO_SPAN: CallSpan = _NoSpan()
NO_TRACER: Tracer = _NoTracer()
