"""Has a resolved prompt answered: by its own model, or by the next candidate where that fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from ..dispatch.account import Account
from ..dispatch.admission import RefusedError
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.orders import Order
from ..dispatch.route import Draw, Route, Step, count_others
from ..domain.aliases import NO_ROW, Alias
from ..domain.answers import Answer, Delta, Dispatch, Finish
from ..domain.errors import CallError, Reason, ResolverError, ServerError
from ..domain.prompts import ResolvedPrompt
from ..metrics import UpstreamMetrics
from .candidates import Candidate, Candidates
from .preparer import Preparer
from .queries import Resolution

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

Deliver: TypeAlias = Callable[[ResolvedPrompt, Sequence[Delta]], Awaitable[None]]
"""Passes on the deltas that arrived together, with the prompt that they answer.

It is not the prompt that was resolved first where that one's provider has failed."""

_Ask: TypeAlias = Callable[[Order, ResolvedPrompt, Account], Awaitable[_T]]


class _Call:
    """One call on its way through its candidates.

    `failure` is what the caller is told if none of those that are left answers, and `failed` the
    candidate that it is of.
    """

    __slots__ = ("account", "failed", "failure", "first", "route")

    def __init__(self, first: Resolution) -> None:
        self.first = first
        self.account = Account()
        self.route: Route | None = None
        self.failure: ResolverError | None = None
        self.failed: Candidate | None = None


class Failover:
    """Asks one candidate after the other until one answers.

    What a store or a template fails at is told to the caller; only the failures of providers lead
    to the next candidate. `sleep` waits for so many seconds.
    """

    def __init__(
        self,
        *,
        preparer: Preparer,
        aliases: Mapping[str, Alias],
        dispatcher: Dispatcher,
        metrics: UpstreamMetrics,
        draw: Draw,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._candidates = Candidates(preparer, dispatcher)
        self._aliases = aliases
        self._dispatcher = dispatcher
        self._cooldowns = dispatcher.cooldowns
        self._metrics = metrics
        self._draw = draw
        self._sleep = sleep

    def complete(self, resolution: Resolution) -> Coroutine[Any, Any, tuple[Answer, Dispatch]]:
        """Return the whole answer, and how it came about."""

        def ask(order: Order, prompt: ResolvedPrompt, account: Account) -> Awaitable[Answer]:
            return self._dispatcher.complete(order, account)

        return self._answer(resolution, ask)

    def stream(
        self, resolution: Resolution, deliver: Deliver
    ) -> Coroutine[Any, Any, tuple[Finish, Dispatch]]:
        """Deliver the answer as it arrives; return how it ended, and how it came about."""

        def ask(order: Order, prompt: ResolvedPrompt, account: Account) -> Awaitable[Finish]:
            return self._dispatcher.stream(order, partial(deliver, prompt), account)

        return self._answer(resolution, ask)

    async def _answer(self, first: Resolution, ask: _Ask[_T]) -> tuple[_T, Dispatch]:
        """Have one candidate after the other asked until one answers, or none is left.

        Raises the failure of the last one that was asked. Why one could not be asked is told only
        where none was.
        """
        call = _Call(first)
        others = count_others(first.alias, first.deployment)
        candidate = self._candidates.first(first, others=others)
        if self._cooldowns.holds(first.deployment.row):
            candidate = await self._detour(call, candidate)
        try:
            while True:
                order, prompt = candidate.order, candidate.resolution.prompt
                try:
                    answer = await ask(order, prompt, call.account)
                except (ResolverError, RefusedError) as caught:
                    candidate = await self._go_on(call, candidate, caught)
                else:
                    return answer, call.account.close(prompt)
        finally:
            # Its traceback has this frame: the two would keep each other.
            call.failure = None

    async def _go_on(
        self, call: _Call, failed: Candidate, caught: ResolverError | RefusedError
    ) -> Candidate:
        """Return the next candidate once it is its turn. Raises the failure if there is none."""
        account = call.account
        if isinstance(caught, RefusedError):
            error, asked = caught.error, False
            self._pass_over(call, failed, caught.outcome)
        else:
            error, asked = caught, not isinstance(caught, CallError)
            self._put_aside(failed, error)
        if asked or call.failure is None:
            call.failure, call.failed = error, failed
        elif isinstance(error, CallError):
            self._tell_passed_over(failed.resolution.alias, error)
        if account.asked > 1 or error.reason is Reason.DEADLINE:
            call.failure.metadata["attempts"] = str(account.asked)
        if not account.delivered:
            route = call.route = call.route or self._begin_route(call.first)
            reason = call.failure.reason
            # One that could not be asked changes nothing about why the call goes on.
            step = route.next(error) if call.failure is caught else route.skip(reason)
            if (ready := await self._find_ready(call, step, failed, reason)) is not None:
                return ready
        if (
            call.failure.reason is Reason.UPSTREAM_RATE_LIMITED
            and call.failure.retry_after_s is None
        ):
            call.failure.retry_after_s = self._wait_of(call.failed or failed)
        raise call.failure from call.failure.__cause__

    async def _detour(self, call: _Call, put_aside: Candidate) -> Candidate:
        """Return who answers in place of an alias whose rows are all put aside.

        That is a fallback, if there is one that can be asked; else it is asked all the same.
        """
        route = call.route = self._begin_route(call.first)
        if put_aside.speaks_for_row and (step := route.detour()) is not None:
            reason = Reason.UPSTREAM_RATE_LIMITED
            instead = await self._find_ready(call, step, put_aside, reason)
            if instead is not None:
                self._pass_over(call, put_aside, "cooldown")
                return instead
        call.route = None
        return put_aside

    async def _find_ready(
        self, call: _Call, step: Step | None, failed: Candidate, reason: Reason
    ) -> Candidate | None:
        """Return the first candidate from a step on that may be asked, once it is its turn."""
        deadline, route = call.first.query.deadline, call.route
        assert route is not None
        while step is not None:
            ready = await self._try_to_prepare(call, step, failed)
            if (
                ready is not None
                and step.until < deadline
                and self._may_ask(step, ready.order, call.account)
            ):
                await self._pause(step, deadline, call.account)
                self._count(step, failed, reason, call.account)
                return ready
            step = route.skip(reason)
        return None

    async def _try_to_prepare(self, call: _Call, step: Step, failed: Candidate) -> Candidate | None:
        """Return a candidate's own prompt and order, or None where it cannot be asked at all."""
        first, route = call.first, call.route
        assert route is not None
        try:
            return await self._candidates.next(step, failed, first, others=route.others)
        except ResolverError as error:
            if error.reason is Reason.DEADLINE:
                error.metadata["attempts"] = str(call.account.asked)
                raise
            self._tell_passed_over(step.alias, error)
            return None

    def _may_ask(self, step: Step, order: Order, account: Account) -> bool:
        """Tell whether one more request will do: what failed is asked again within its budget.

        It is not waited for if it will be left alone thereafter.
        """
        target = order.target
        if step.is_fallback or target not in account.targets:
            return True
        if target.breaker is not None and target.breaker.wait_s() > _wait_s(step, order.deadline):
            return False
        if target.budget.withdraw():
            return True
        self._metrics.retry_budget_exhausted(order.choice.provider)
        return False

    async def _pause(self, step: Step, deadline: float, account: Account) -> None:
        """Wait until it is a candidate's turn. Raises DEADLINE."""
        wait_s = _wait_s(step, deadline)
        if wait_s <= 0:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._sleep(wait_s)
            account.waited_s += wait_s
        except TimeoutError:
            raise ServerError(
                Reason.DEADLINE,
                "the deadline passed while the provider was to be asked again",
                metadata={"phase": "retry", "attempts": str(account.asked)},
            ) from None

    def _begin_route(self, first: Resolution) -> Route:
        return Route(
            first.alias,
            first.deployment,
            aliases=self._aliases,
            cooldowns=self._cooldowns,
            draw=self._draw,
            clock=asyncio.get_running_loop().time,
        )

    def _put_aside(self, failed: Candidate, error: ResolverError) -> None:
        """Put a row aside that is limited: for a key of its own, and a model that it stands for."""
        if failed.speaks_for_row:
            self._cooldowns.note(failed.resolution.deployment.row, error)

    def _wait_of(self, limited: Candidate) -> float:
        """Return when one that is limited may be asked again, by what is known of its row."""
        row = limited.resolution.deployment.row if limited.speaks_for_row else NO_ROW
        return self._cooldowns.wait_s(row)

    @staticmethod
    def _tell_passed_over(alias: Alias, error: ResolverError) -> None:
        """Log why a candidate was passed over, which the caller is not told."""
        extra = {"alias": alias.name, "reason": error.reason}
        _log.warning("a candidate could not be asked", extra=extra)

    def _pass_over(self, call: _Call, candidate: Candidate, outcome: str) -> None:
        choice = candidate.order.choice
        call.account.pass_over(choice, outcome)
        self._metrics.of(choice.provider, choice.model).passed_over(outcome)

    def _count(self, step: Step, failed: Candidate, reason: Reason, account: Account) -> None:
        if step.is_fallback and step.alias is not failed.resolution.alias:
            alias = failed.resolution.alias.name
            self._metrics.fell_back(alias, step.alias.name, reason.lower())
        elif account.attempts[-1].duration_s is not None:
            choice = failed.order.choice
            self._metrics.of(choice.provider, choice.model).retried(reason.lower())


def _wait_s(step: Step, deadline: float) -> float:
    """Return how long it is until a candidate's turn."""
    until_s = step.until - asyncio.get_running_loop().time()
    if until_s <= 0:
        return step.pause_s
    # The provider's own time comes first. Half of what is left then is for the answer.
    return until_s + min(step.pause_s, (deadline - step.until) / 2)
