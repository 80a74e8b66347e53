"""One attempt to have a call answered: ended in time, and accounted for."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..alarms import Alarms
from ..answers import Attempt, Cost, Delta, Dispatch, Finish, Opened
from ..errors import Reason, ResolverError, ServerError
from ..metrics import UpstreamMetrics
from ..prompts import ResolvedPrompt
from ..providers.failures import Failures
from .orders import Order, Target


class Account:
    """What happened so far to have one call answered.

    `delivered` tells whether the caller has seen something of an answer: there is no way back then.
    `paused_s` is how long was waited between attempts, and `cost` what the answer cost.
    """

    __slots__ = ("attempts", "cost", "delivered", "paused_s", "targets")

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.targets: list[Target] = []
        self.delivered = False
        self.paused_s = 0.0
        self.cost: Cost | None = None

    def close(self, prompt: ResolvedPrompt) -> Dispatch:
        """Return how an answer came about, whose prompt this is."""
        return Dispatch(
            prompt=prompt,
            attempts=tuple(self.attempts),
            upstream_s=self.attempts[-1].duration_s,
            waited_s=self.paused_s + sum([each.duration_s for each in self.attempts]),
            cost=self.cost,
        )


class RunningAttempt:
    """The context of one call to a provider: ended in time, and accounted for.

    `limit_s` is how long it may take to its end, or of a `stream` to its first event.
    """

    def __init__(
        self,
        order: Order,
        limit_s: float | None,
        account: Account,
        alarms: Alarms,
        metrics: UpstreamMetrics,
        *,
        stream: bool,
    ) -> None:
        self._span = order.span.attempt(
            provider=order.choice.provider,
            base_url=order.target.base_url,
            request=order.request,
            served=order.served,
            stream=stream,
        )
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
        metrics.started(choice.provider)
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

    def note_first_chunk(self, deltas: Sequence[Delta]) -> None:
        """Take the time of the stream's first event, which is the last that is waited for."""
        if not self._chunk_seen:
            self._chunk_seen = True
            self._account.delivered = True
            if self._limited:
                self._limited = False
                self._alarms.set(self._expire, self._deadline)
            seconds = time.perf_counter() - self._started
            self._metrics.first_chunk(self._choice.provider, self._choice.model, seconds)
            first = deltas[0]
            self._span.opened(first.id if isinstance(first, Opened) else "", seconds)

    def succeed(self, finish: Finish, answer_id: str = "") -> None:
        """Note that the provider has answered; the id of a stream has come with its first event."""
        self._outcome = "ok"
        self._span.answered(answer_id, finish)
        if finish.usage is not None:
            self._metrics.used(self._choice.provider, self._choice.model, finish.usage)

    def _end(self) -> None:
        seconds = time.perf_counter() - self._started
        choice = self._choice
        self._span.end(self._outcome)
        self._metrics.ended(choice.provider, choice.model, self._outcome, seconds)
        self._account.targets.append(self._target)
        self._account.attempts.append(
            Attempt(
                provider=choice.provider,
                model=choice.model,
                outcome=self._outcome,
                duration_s=seconds,
            )
        )
