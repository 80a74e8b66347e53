"""One attempt to have a call answered: let in, ended in time, and accounted for."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..domain.answers import Attempt, Delta, Finish, Opened
from ..domain.errors import CallError, Reason, ResolverError, ServerError
from ..metrics import UpstreamMetrics
from ..providers.failures import Failures
from ..runtime.alarms import Alarms
from ..runtime.deadlines import has_passed
from ..runtime.shutdown import was_cut_off
from .account import Account
from .admission import leave, let_in
from .breaker import Verdict, judge
from .orders import Order
from .retries import LateError

_LEAST_SHARE_S = 5.0
"""Less than what a model may take to its first word is no chance."""

_TELLING_SHARE_S = 15.0
"""Who does not begin in less may be as fast as ever: it is the caller that is in a hurry."""

_AGAIN_S = 1.0

_UNFORESEEN = Reason.INTERNAL.lower()


def share_s(left_s: float, others: int) -> float:
    """Return how long one of several candidates may take to begin, of the time that is left."""
    return max(_LEAST_SHARE_S, left_s / (1 + others))


class RunningAttempt:
    """The context of one call to a provider: let in, ended in time, and accounted for.

    `limit_s` is how long it may take to its end, or of a `stream` to its first event. Where it is
    None and there are other candidates, the first sign of an answer must come within this one's
    share of the time that is left.

    Entering it raises `RefusedError` for what the provider is not asked at all, and DEADLINE.
    """

    __slots__ = (
        "_account",
        "_alarms",
        "_begun",
        "_cancels",
        "_choice",
        "_deadline",
        "_ended_by",
        "_ending",
        "_era",
        "_expired",
        "_is_probe",
        "_is_telling",
        "_limit_s",
        "_limited",
        "_metrics",
        "_order",
        "_outcome",
        "_sent",
        "_span",
        "_started",
        "_stream",
        "_target",
        "_task",
        "_upstream",
        "_verdict",
    )

    def __init__(
        self,
        order: Order,
        limit_s: float | None,
        account: Account,
        alarms: Alarms,
        metrics: UpstreamMetrics,
        *,
        stream: bool = False,
    ) -> None:
        self._order = order
        self._stream = stream
        self._choice = order.choice
        self._target = order.target
        self._deadline = order.deadline
        self._limit_s = limit_s
        self._limited = False
        self._is_telling = True
        self._account = account
        self._upstream = metrics
        self._alarms = alarms
        self._ending: asyncio.Handle | None = None
        self._expired = 0
        self._outcome = _UNFORESEEN
        self._ended_by = ""
        self._verdict = Verdict.UNKNOWN
        self._is_probe = False
        self._era = 0
        self._sent = True
        self._begun = False
        self._started = 0.0

    async def __aenter__(self) -> Self:
        choice = self._choice
        breaker = self._target.breaker
        now = asyncio.get_running_loop().time()
        if now >= self._deadline:
            raise ServerError(
                Reason.DEADLINE,
                f"the deadline passed before provider {choice.provider!r} was asked",
                metadata={"phase": "upstream", "attempts": "0"},
            )
        if self._target.slots is not None or (breaker is not None and breaker.is_open):
            came = time.perf_counter()
            try:
                self._is_probe = await let_in(self._order)
            finally:
                self._account.waited_s += time.perf_counter() - came
        if breaker is not None:
            self._era = breaker.era
        vouched = choice.named_by != "caller"
        self._metrics = self._upstream.of(choice.provider, choice.model, vouched=vouched)
        self._metrics.started()
        self._span = self._order.span.attempt(
            provider=choice.provider,
            base_url=self._target.base_url,
            request=self._order.request,
            served=self._order.served,
            stream=self._stream,
        )
        self._started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancels = task, task.cancelling()
        ends = self._deadline
        if self._limit_s is not None or self._order.others:
            now = asyncio.get_running_loop().time()
            limit_s = self._limit_s
            if limit_s is None:
                limit_s = share_s(ends - now, self._order.others)
                self._is_telling = limit_s >= _TELLING_SHARE_S
            self._limited = now + limit_s < ends
            ends = min(now + limit_s, ends)
        self._alarms.set(self._expire, ends)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alarms.pop(self._expire, None)
        if self._ending is not None:
            self._ending.cancel()
        late = False
        for _ in range(self._expired):
            late = self._task.uncancel() <= self._cancels
        match exception:
            case None:
                pass
            case asyncio.CancelledError() if late:
                error = self._late()
                self._outcome = error.reason.lower()
                # Whose caller is in a hurry has not failed; who had a time of its own has.
                if self._limited and self._is_telling:
                    self._verdict = Verdict.FAILED
                self._end()
                raise error from None
            case asyncio.CancelledError():
                self._outcome = "cancelled"
                self._ended_by = self._find_who_ended(exception)
            case CallError():
                self._outcome = exception.reason.lower()
                self._sent = False
            case ResolverError():
                self._outcome = exception.reason.lower()
                self._verdict = judge(exception)
        self._end()

    def _expire(self) -> None:
        # What has come in this very turn of the event loop has come in time.
        self._ending = asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        """End the attempt, as `asyncio.Timeout` does; an alarm is cheaper than its timer.

        Where somebody takes the cancellation for their own, it comes once more.
        """
        self._expired += 1
        self._task.cancel()
        self._alarms.set(self._expire, asyncio.get_running_loop().time() + _AGAIN_S)

    def _find_who_ended(self, cancellation: asyncio.CancelledError) -> str:
        if was_cut_off(cancellation):
            return "shutdown"
        left_s = self._deadline - asyncio.get_running_loop().time()
        return "deadline" if has_passed(left_s) else "caller"

    def _late(self) -> ResolverError:
        provider, model = self._choice.provider, self._choice.model
        if self._limited:
            failures = Failures(provider=provider, model=model, with_caller_key=False)
            error = failures.of(Reason.UPSTREAM_TIMEOUT, phase="attempt")
            if self._limit_s is not None:
                return error
            return LateError(error.reason, error.message, metadata=error.metadata)
        return ServerError(
            Reason.DEADLINE,
            f"the deadline passed while provider {provider!r} answered",
            metadata={"phase": "upstream", "attempts": "1"},
        )

    def note_begun(self) -> None:
        """Take the first sign of an answer: the provider is there, and has the whole time left."""
        if self._begun:
            return
        self._begun = True
        if self._limited and not self._expired and (self._stream or self._limit_s is None):
            self._limited = False
            if self._ending is not None:
                self._ending.cancel()
            self._alarms.set(self._expire, self._deadline)
        breaker = self._target.breaker
        if self._is_probe and breaker is not None:
            self._is_probe = False
            breaker.note_probe(Verdict.ANSWERED, "ok")
            self._era = breaker.era

    def note_first_chunk(self, deltas: Sequence[Delta]) -> None:
        """Take the time of the stream's first event, which is the last that is waited for."""
        if not self._begun:
            self.note_begun()
            self._account.delivered = True
            seconds = time.perf_counter() - self._started
            self._metrics.first_chunk(seconds)
            first = deltas[0]
            self._span.opened(first.id if isinstance(first, Opened) else "", seconds)

    def succeed(self, finish: Finish, answer_id: str = "") -> None:
        """Note that the provider has answered; the id of a stream has come with its first event."""
        self._outcome = "ok"
        self._verdict = Verdict.ANSWERED
        self._span.answered(answer_id, finish)
        if finish.usage is not None:
            self._metrics.used(finish.usage)

    def _end(self) -> None:
        seconds = time.perf_counter() - self._started
        choice, account = self._choice, self._account
        leave(self._target, self._verdict, self._outcome, era=self._era, is_probe=self._is_probe)
        self._span.end(self._outcome)
        if not self._sent:
            self._metrics.unsent(self._outcome)
            account.pass_over(choice, self._outcome)
            return
        self._metrics.ended(self._outcome, seconds, by=self._ended_by)
        account.asked += 1
        account.upstream_s = seconds
        account.waited_s += seconds
        if self._target not in account.targets:
            self._target.budget.deposit()
            account.targets.append(self._target)
        account.attempts.append(
            Attempt(
                provider=choice.provider,
                model=choice.model,
                outcome=self._outcome,
                duration_s=seconds,
            )
        )
