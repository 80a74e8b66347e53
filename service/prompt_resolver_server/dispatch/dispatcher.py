"""Has a provider answer: finds it, bounds it by the caller's deadline, and keeps the account."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from ..alarms import Alarms
from ..aliases import Terms
from ..answers import Answer, Attempt, Delta, Dispatch, Emit, Finish, ModelRequest, Usage
from ..errors import Blame, CallError, Reason, ResolverError, ServerError
from ..metrics import Metrics
from ..prompts import ResolvedPrompt
from ..providers.failures import Failures
from ..providers.provider import Provider
from ..values import Value
from .notation import ModelChoice
from .retries import RetryBudget


class Target:
    """A provider, with one key at one address, and the retries that it may get."""

    __slots__ = ("budget", "provider")

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.budget = RetryBudget()


class Order(Value, frozen=True, kw_only=True):
    """One request to one provider. `deadline` is on the event loop's clock."""

    shown = ("choice",)

    target: Target
    choice: ModelChoice
    request: ModelRequest
    terms: Terms
    caller_key: str | None
    deadline: float


class Account:
    """What happened so far to have one call answered.

    `delivered` tells whether the caller has seen something of an answer: there is no way back then.
    """

    __slots__ = ("attempts", "delivered", "targets")

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.targets: list[Target] = []
        self.delivered = False

    def close(self, prompt: ResolvedPrompt) -> Dispatch:
        """Return how an answer came about, whose prompt this is."""
        return Dispatch(
            prompt=prompt,
            attempts=tuple(self.attempts),
            upstream_s=self.attempts[-1].duration_s,
        )


class Dispatcher:
    """Calls providers. Made inside of a running event loop.

    `alias_providers` are the providers that a deployment has a key or an address of its own for, by
    its row and the provider's name.
    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        alias_providers: Mapping[tuple[int, str], Provider],
        metrics: Metrics,
    ) -> None:
        self._targets = {name: Target(provider) for name, provider in providers.items()}
        self._alias_targets = {key: Target(each) for key, each in alias_providers.items()}
        self._metrics = metrics
        self._alarms = Alarms(asyncio.get_running_loop())

    def find(self, choice: ModelChoice, row: int) -> Target:
        """Return the provider of a model, as a deployment knows it. Raises PROVIDER_UNKNOWN."""
        own = self._alias_targets.get((row, choice.provider))
        target = own or self._targets.get(choice.provider)
        if target is None:
            raise CallError(
                Reason.PROVIDER_UNKNOWN,
                f"model: no provider {choice.provider!r} is configured, which the"
                f" {choice.named_by} names",
                metadata={"provider": choice.provider},
                blame=Blame.CALLER if choice.named_by == "caller" else Blame.OPERATOR,
            )
        return target

    async def complete(self, order: Order, account: Account) -> Answer:
        """Return the provider's answer.

        Raises what the provider raises, UPSTREAM_TIMEOUT, and DEADLINE.
        """
        limit_s = order.terms.timeout_s
        async with _Attempt(order, limit_s, account, self._alarms, self._metrics) as attempt:
            answer = await order.target.provider.complete(
                order.request, caller_key=order.caller_key
            )
            attempt.succeed(answer.finish.usage)
        return answer

    async def stream(self, order: Order, emit: Emit, account: Account) -> Finish:
        """Emit the provider's answer as it arrives, and return its end.

        Raises what `complete` raises.
        """
        limit_s = order.terms.stream_timeout_s or order.terms.timeout_s
        async with _Attempt(order, limit_s, account, self._alarms, self._metrics) as attempt:

            async def emit_timed(deltas: Sequence[Delta]) -> None:
                attempt.note_first_chunk()
                await emit(deltas)

            finish = await order.target.provider.stream(
                order.request, emit_timed, caller_key=order.caller_key
            )
            attempt.succeed(finish.usage)
        return finish


class _Attempt:
    """The context of one call to a provider: ended in time, and accounted for.

    `limit_s` is how long it may take to its end, or of a stream to its first event.
    """

    def __init__(
        self,
        order: Order,
        limit_s: float | None,
        account: Account,
        alarms: Alarms,
        metrics: Metrics,
    ) -> None:
        self._choice = order.choice
        self._target = order.target
        self._deadline = order.deadline
        self._limit_s = limit_s
        self._limited = False
        self._account = account
        self._metrics = metrics
        self._alarms = alarms
        # Without a time: an alarm is cheaper than its timer.
        self._timeout = asyncio.timeout(None)
        self._outcome = Reason.INTERNAL.lower()
        self._started = time.perf_counter()
        self._chunk_seen = False

    async def __aenter__(self) -> Self:
        choice, metrics = self._choice, self._metrics
        if choice.named_by != "caller":
            metrics.know_model(choice.provider, choice.model)
        metrics.upstream_started(choice.provider)
        await self._timeout.__aenter__()
        ends = self._deadline
        if self._limit_s is not None:
            limit = asyncio.get_running_loop().time() + self._limit_s
            self._limited = limit < ends
            ends = min(limit, ends)
        self._alarms.set(self._expire, ends)
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
            error = self._late()
            self._outcome = error.reason.lower()
            raise error from None
        else:
            match exception:
                case asyncio.CancelledError():
                    self._outcome = "cancelled"
                case ResolverError():
                    self._outcome = exception.reason.lower()
        finally:
            self._end()

    def _expire(self) -> None:
        self._timeout.reschedule(0)

    def _late(self) -> ResolverError:
        provider, model = self._choice.provider, self._choice.model
        if self._limited:
            failures = Failures(provider=provider, model=model, with_caller_key=False)
            return failures.of(Reason.UPSTREAM_TIMEOUT, phase="attempt")
        return ServerError(
            Reason.DEADLINE,
            f"the deadline passed while provider {provider!r} answered",
            metadata={"phase": "upstream", "attempts": "1"},
        )

    def note_first_chunk(self) -> None:
        """Take the time of the stream's first event, which is the last that is waited for."""
        if not self._chunk_seen:
            self._chunk_seen = True
            self._account.delivered = True
            if self._limited:
                self._limited = False
                self._alarms.set(self._expire, self._deadline)
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
        seconds = time.perf_counter() - self._started
        choice = self._choice
        self._metrics.upstream_ended(choice.provider, choice.model, self._outcome, seconds)
        self._account.targets.append(self._target)
        self._account.attempts.append(
            Attempt(
                provider=choice.provider,
                model=choice.model,
                outcome=self._outcome,
                duration_s=seconds,
            )
        )
