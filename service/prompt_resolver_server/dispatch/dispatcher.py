"""Has a provider answer: finds it, bounds it by the caller's deadline, and keeps the account."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from ..alarms import Alarms
from ..answers import (
    Answer,
    Attempt,
    Credentials,
    Delta,
    Dispatch,
    Emit,
    Finish,
    ModelRequest,
    Usage,
)
from ..errors import Blame, CallError, Reason, ResolverError, ServerError
from ..metrics import Metrics
from ..providers.provider import Provider
from .notation import ModelChoice


class Dispatcher:
    """Calls providers by name. Made inside of a running event loop.

    `alias_providers` are the providers that an alias has a key or an address of its own for, by the
    alias' and the provider's names.
    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        alias_providers: Mapping[tuple[str, str], Provider],
        metrics: Metrics,
    ) -> None:
        self._providers = providers
        self._alias_providers = alias_providers
        self._metrics = metrics
        self._alarms = Alarms(asyncio.get_running_loop())

    async def complete(
        self,
        choice: ModelChoice,
        request: ModelRequest,
        *,
        alias: str | None,
        credentials: Credentials,
        deadline: float,
    ) -> tuple[Answer, Dispatch]:
        """Return the provider's answer and how it came about.

        Raises what the provider raises, PROVIDER_UNKNOWN, and DEADLINE.
        """
        provider = self._find(choice, alias)
        caller_key = credentials.provider_keys.get(choice.provider.lower())
        async with _Attempt(choice, deadline, self._alarms, self._metrics) as attempt:
            answer = await provider.complete(request, caller_key=caller_key)
            attempt.succeed(answer.finish.usage)
        return answer, attempt.dispatch

    async def stream(
        self,
        choice: ModelChoice,
        request: ModelRequest,
        emit: Emit,
        *,
        alias: str | None,
        credentials: Credentials,
        deadline: float,
    ) -> tuple[Finish, Dispatch]:
        """Emit the provider's answer as it arrives, and return its end and how it came about.

        Raises what `complete` raises.
        """
        provider = self._find(choice, alias)
        caller_key = credentials.provider_keys.get(choice.provider.lower())
        async with _Attempt(choice, deadline, self._alarms, self._metrics) as attempt:

            async def emit_timed(deltas: Sequence[Delta]) -> None:
                attempt.note_first_chunk()
                await emit(deltas)

            finish = await provider.stream(request, emit_timed, caller_key=caller_key)
            attempt.succeed(finish.usage)
        return finish, attempt.dispatch

    def _find(self, choice: ModelChoice, alias: str | None) -> Provider:
        own = self._alias_providers.get((alias, choice.provider)) if alias is not None else None
        provider = own or self._providers.get(choice.provider)
        if provider is None:
            raise CallError(
                Reason.PROVIDER_UNKNOWN,
                f"model: no provider {choice.provider!r} is configured, which the"
                f" {choice.named_by} names",
                metadata={"provider": choice.provider},
                blame=Blame.CALLER if choice.named_by == "caller" else Blame.OPERATOR,
            )
        return provider


class _Attempt:
    """The context of one call to a provider: ended by the deadline, and accounted for."""

    def __init__(
        self, choice: ModelChoice, deadline: float, alarms: Alarms, metrics: Metrics
    ) -> None:
        self._choice = choice
        self._metrics = metrics
        self._deadline = deadline
        self._alarms = alarms
        # Without a time: an alarm is cheaper than its timer.
        self._timeout = asyncio.timeout(None)
        self._outcome = Reason.INTERNAL.lower()
        self._started = time.perf_counter()
        self._seconds = 0.0
        self._chunk_seen = False

    async def __aenter__(self) -> Self:
        choice, metrics = self._choice, self._metrics
        if choice.named_by != "caller":
            metrics.know_model(choice.provider, choice.model)
        metrics.upstream_started(choice.provider)
        await self._timeout.__aenter__()
        self._alarms.set(self._expire, self._deadline)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alarms.clear(self._expire)
        try:
            await self._timeout.__aexit__(kind, exception, traceback)
        except TimeoutError:
            self._outcome = Reason.DEADLINE.lower()
            raise ServerError(
                Reason.DEADLINE,
                f"the deadline passed while provider {self._choice.provider!r} answered",
                metadata={"phase": "upstream", "attempts": "1"},
            ) from None
        else:
            match exception:
                case asyncio.CancelledError():
                    self._outcome = "cancelled"
                case ResolverError():
                    self._outcome = exception.reason.lower()
        finally:
            self._end()

    def _expire(self) -> None:
        self._timeout.reschedule(self._deadline)

    def note_first_chunk(self) -> None:
        """Take the time of the stream's first event."""
        if not self._chunk_seen:
            self._chunk_seen = True
            self._metrics.upstream_first_chunk(
                self._choice.provider, self._choice.model, time.perf_counter() - self._started
            )

    def succeed(self, usage: Usage | None) -> None:
        """Note that the provider has answered."""
        provider, model = self._choice.provider, self._choice.model
        self._outcome = "ok"
        if usage is not None:
            self._metrics.tokens_used(provider, model, "input", usage.input_tokens)
            self._metrics.tokens_used(provider, model, "output", usage.output_tokens)

    def _end(self) -> None:
        self._seconds = time.perf_counter() - self._started
        self._metrics.upstream_ended(
            self._choice.provider, self._choice.model, self._outcome, self._seconds
        )

    @property
    def dispatch(self) -> Dispatch:
        """How the answer came about."""
        attempt = Attempt(
            provider=self._choice.provider,
            model=self._choice.model,
            outcome=self._outcome,
            duration_s=self._seconds,
        )
        return Dispatch(attempts=(attempt,), upstream_s=self._seconds)
