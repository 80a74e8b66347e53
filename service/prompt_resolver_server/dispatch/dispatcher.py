"""Has a provider answer: finds it, bounds it by the caller's deadline, and keeps the account."""

import asyncio
from collections.abc import Mapping, Sequence

from ..alarms import Alarms
from ..answers import Answer, Cost, Delta, Emit, Finish
from ..errors import Blame, CallError, Reason
from ..metrics import UpstreamMetrics
from ..pricing import NO_PRICES, Prices
from ..providers.provider import Provider
from .attempt import Account, RunningAttempt
from .notation import ModelChoice
from .orders import Order, Target


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
        metrics: UpstreamMetrics,
        prices: Prices = NO_PRICES,
    ) -> None:
        self._targets = {name: Target(provider) for name, provider in providers.items()}
        self._alias_targets = {key: Target(each) for key, each in alias_providers.items()}
        self._metrics = metrics
        self._prices = prices
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
        async with self._attempt(order, limit_s, account, stream=False) as attempt:
            self._prices.prepare(order.target.vendor_url)
            answer = await order.target.provider.complete(
                order.request, caller_key=order.caller_key
            )
            attempt.succeed(answer.finish, answer.id)
        account.cost = await self._charge(order, answer.finish)
        return answer

    async def stream(self, order: Order, emit: Emit, account: Account) -> Finish:
        """Emit the provider's answer as it arrives, and return its end.

        Raises what `complete` raises.
        """
        limit_s = order.terms.stream_timeout_s or order.terms.timeout_s
        async with self._attempt(order, limit_s, account, stream=True) as attempt:

            async def emit_timed(deltas: Sequence[Delta]) -> None:
                attempt.note_first_chunk(deltas)
                await emit(deltas)

            self._prices.prepare(order.target.vendor_url)
            finish = await order.target.provider.stream(
                order.request, emit_timed, caller_key=order.caller_key
            )
            attempt.succeed(finish)
        account.cost = await self._charge(order, finish)
        return finish

    def _attempt(
        self, order: Order, limit_s: float | None, account: Account, *, stream: bool
    ) -> RunningAttempt:
        return RunningAttempt(order, limit_s, account, self._alarms, self._metrics, stream=stream)

    async def _charge(self, order: Order, finish: Finish) -> Cost | None:
        """Return what an answer cost, as far as that is known, and count it."""
        cost = await self._prices.find(order.target.vendor_url, order.request, finish)
        if cost is not None:
            self._metrics.charged(order.choice.provider, order.choice.model, cost.usd)
        return cost
