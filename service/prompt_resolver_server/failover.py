"""Has a resolved prompt answered: by its own model, or by the next candidate where that fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from .aliases import Alias, Deployment
from .answers import Answer, Delta, Dispatch, Finish
from .dispatch.attempt import Account
from .dispatch.dispatcher import Dispatcher
from .dispatch.orders import Order
from .dispatch.route import Draw, Route, Step
from .errors import Reason, ResolverError, ServerError
from .metrics import UpstreamMetrics
from .model_requests import make_model_request
from .prompts import ResolvedPrompt
from .queries import Query, Resolution

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

Deliver: TypeAlias = Callable[[ResolvedPrompt, Sequence[Delta]], Awaitable[None]]
"""Passes on the deltas that arrived together, with the prompt that they answer.

It is not the prompt that was resolved first where that one's provider has failed."""

_Ask: TypeAlias = Callable[[Order, ResolvedPrompt, Account], Awaitable[_T]]


class Failover:
    """Asks one candidate after the other until one answers.

    `prepare` resolves a query as one of an alias' deployments serves it. What a store or a template
    fails at is told to the caller; only the failures of providers lead to the next candidate.
    `sleep` waits for so many seconds.
    """

    def __init__(
        self,
        *,
        prepare: Callable[[Query, Alias, Deployment], Awaitable[Resolution]],
        aliases: Mapping[str, Alias],
        dispatcher: Dispatcher,
        metrics: UpstreamMetrics,
        draw: Draw,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._prepare = prepare
        self._aliases = aliases
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._draw = draw
        self._sleep = sleep

    async def complete(self, resolution: Resolution) -> tuple[Answer, Dispatch]:
        """Return the whole answer, and how it came about."""

        async def ask(order: Order, prompt: ResolvedPrompt, account: Account) -> Answer:
            return await self._dispatcher.complete(order, account)

        return await self._answer(resolution, ask)

    async def stream(self, resolution: Resolution, deliver: Deliver) -> tuple[Finish, Dispatch]:
        """Deliver the answer as it arrives; return how it ended, and how it came about."""

        async def ask(order: Order, prompt: ResolvedPrompt, account: Account) -> Finish:
            return await self._dispatcher.stream(order, partial(deliver, prompt), account)

        return await self._answer(resolution, ask)

    async def _answer(self, first: Resolution, ask: _Ask[_T]) -> tuple[_T, Dispatch]:
        """Have one candidate after the other asked until one answers, or none is left.

        Raises the failure of the last one that was asked.
        """
        resolution, order = first, self._order(first, first)
        order.target.budget.deposit()
        account = Account()
        route = None
        while True:
            try:
                answer = await ask(order, resolution.prompt, account)
            except ResolverError as error:
                if len(account.attempts) > 1:
                    error.metadata["attempts"] = str(len(account.attempts))
                if account.delivered:
                    raise
                route = route or self._begin_route(first)
                following = await self._go_on(route, first, resolution, error, account)
                if following is None:
                    raise
                resolution, order = following
            else:
                return answer, account.close(resolution.prompt)

    async def _go_on(
        self,
        route: Route,
        first: Resolution,
        failed: Resolution,
        error: ResolverError,
        account: Account,
    ) -> tuple[Resolution, Order] | None:
        """Return the next candidate once it is its turn, or None if there is none."""
        deadline = first.query.deadline
        step = route.next(error)
        while step is not None:
            ready = await self._try_to_prepare(step, first, failed, account)
            if ready is not None and step.until < deadline and _may_ask(step, ready[1], account):
                await self._pause(step, deadline, account)
                self._count(step, failed, error.reason)
                return ready
            step = route.skip(error.reason)
        return None

    async def _try_to_prepare(
        self, step: Step, first: Resolution, failed: Resolution, account: Account
    ) -> tuple[Resolution, Order] | None:
        """Return a candidate's own prompt and order, or None where it cannot be asked at all."""
        try:
            if step.deployment is failed.deployment:
                resolution = failed
            elif step.alias is first.alias:
                resolution = await self._prepare(first.query, step.alias, step.deployment)
            else:
                query = _for_fallback(first, step.alias, step.deployment)
                resolution = await self._prepare(query, step.alias, step.deployment)
            return resolution, self._order(resolution, first)
        except ResolverError as error:
            if error.reason is Reason.DEADLINE:
                error.metadata["attempts"] = str(len(account.attempts))
                raise
            _log.warning(
                "a candidate could not be asked",
                extra={"alias": step.alias.name, "reason": error.reason},
            )
            return None

    async def _pause(self, step: Step, deadline: float, account: Account) -> None:
        """Wait until it is a candidate's turn. Raises DEADLINE."""
        wait_s = max(step.pause_s, step.until - asyncio.get_running_loop().time())
        if wait_s <= 0:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._sleep(wait_s)
            account.paused_s += wait_s
        except TimeoutError:
            raise ServerError(
                Reason.DEADLINE,
                "the deadline passed while the provider was to be asked again",
                metadata={"phase": "retry", "attempts": str(len(account.attempts))},
            ) from None

    def _begin_route(self, first: Resolution) -> Route:
        return Route(
            first.alias,
            first.deployment,
            aliases=self._aliases,
            draw=self._draw,
            clock=asyncio.get_running_loop().time,
        )

    def _count(self, step: Step, failed: Resolution, reason: Reason) -> None:
        if step.is_fallback:
            self._metrics.fell_back(failed.alias.name, step.alias.name, reason.lower())
        else:
            choice = failed.choice
            self._metrics.retried(choice.provider, choice.model, reason.lower())

    def _order(self, resolution: Resolution, first: Resolution) -> Order:
        query, choice = resolution.query, resolution.choice
        moved = choice.provider != first.choice.provider
        request = make_model_request(resolution, moved=moved)
        return Order(
            target=self._dispatcher.find(choice, resolution.deployment.row),
            choice=choice,
            request=request,
            terms=resolution.deployment.terms,
            caller_key=query.credentials.provider_keys.get(choice.provider.lower()),
            deadline=query.deadline,
            served=resolution.prompt.served,
            span=query.span,
        )


def _for_fallback(first: Resolution, alias: Alias, deployment: Deployment) -> Query:
    """Return the query that a fallback answers: with its own model, and its own prompt if it has.

    A prompt that the call itself names stays. A key that it brings for its prompt's store goes to
    that store alone.
    """
    query = replace(first.query, alias=alias.name, model=None)
    if deployment.prompt is not None and not query.prompt.id:
        if deployment.store != first.ref.store:
            query = replace(query, credentials=replace(query.credentials, store_key=None))
        return query
    served = first.prompt.served
    return replace(
        query,
        prompt=replace(first.ref, store=served.store) if served is not None else first.ref,
        variables={**first.deployment.variables, **query.variables},
    )


def _may_ask(step: Step, order: Order, account: Account) -> bool:
    """Tell whether one more request will do: what has failed is asked again within its budget."""
    if step.is_fallback or order.target not in account.targets:
        return True
    return order.target.budget.withdraw()
