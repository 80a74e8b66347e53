"""Has a provider answer: finds it, bounds it by the caller's deadline, and keeps the account."""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial

from ..domain.answers import Answer, Cost, Delta, Emit, Finish
from ..domain.errors import Blame, CallError, Reason
from ..metrics import UpstreamMetrics
from ..pricing import NO_PRICES, Prices
from ..providers.provider import Provider
from ..runtime.alarms import Alarms
from .account import Account
from .attempt import RunningAttempt
from .breaker import Breaker, BreakerGauge
from .cooldowns import Cooldowns
from .notation import ModelChoice
from .orders import Limits, Order, Target
from .slots import Slots

_NO_LIMITS = Limits()


class Dispatcher:
    """Calls providers. Made inside of a running event loop.

    `alias_providers` are the providers that a deployment has a key or an address of its own for, by
    its row and the provider's name. `limits` are those of the providers that have other than the
    usual ones, by name, and `rows` are for `Cooldowns`. `clock` is monotonic, and unset the event
    loop's; `draw` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        alias_providers: Mapping[tuple[int, str], Provider],
        metrics: UpstreamMetrics,
        prices: Prices = NO_PRICES,
        limits: Mapping[str, Limits] | None = None,
        rows: Mapping[int, Hashable] | None = None,
        clock: Callable[[], float] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._prices = prices
        self._limits = limits or {}
        self._clock = clock or loop.time
        self._draw = draw
        self.slots: dict[str, Slots] = {}
        """Those of each provider whose calls are limited, by its name."""
        self.gauges: dict[str, BreakerGauge] = {}
        """What tells of a provider's breakers, by its name."""
        self._targets = {name: self._target(name, each) for name, each in providers.items()}
        self._alias_targets = {
            (row, name): self._target(name, each) for (row, name), each in alias_providers.items()
        }
        self._tell_of_breakers(self.gauges)
        self._alarms = Alarms(loop)
        self.cooldowns = Cooldowns(self._clock, rows)
        """The rows that are put aside."""

    def _target(self, name: str, provider: Provider) -> Target:
        limits = self._limits.get(name, _NO_LIMITS)
        if limits.breaker and name not in self.gauges:
            tell = partial(self._metrics.breaker_changed, name)
            self.gauges[name] = BreakerGauge(name, tell)
        breaker = self._make_breaker(name) if limits.breaker else None
        if limits.max_concurrency is not None and name not in self.slots:
            self.slots[name] = Slots(count=limits.max_concurrency, max_wait_s=limits.max_queue_s)
        return Target(provider, breaker=breaker, slots=self.slots.get(name))

    def _make_breaker(self, name: str) -> Breaker:
        return Breaker(clock=self._clock, draw=self._draw, on_change=self.gauges[name].tell)

    def _tell_of_breakers(self, gauges: Mapping[str, BreakerGauge]) -> None:
        """Have these tell of the breakers that there are now, and of no others."""
        breakers: dict[str, dict[Breaker, int | None]] = {name: {} for name in gauges}
        for row, name, target in self.list_targets():
            if target.breaker is not None:
                breakers[name][target.breaker] = row
        for name, gauge in gauges.items():
            gauge.adopt(breakers[name])

    def take_over(self, before: "Dispatcher") -> None:
        """Go on from where the dispatcher of another configuration is, which tells nothing more.

        What it knows of a provider holds for the same one, by name, address and key. A provider's
        slots and gauge are those of its name: what is on its way goes on to count.
        """
        known: dict[Hashable, deque[Target]] = defaultdict(deque)
        for _, _, target in before.list_targets():
            known[target.provider.identity].append(target)
        for name, slots in self.slots.items():
            if (taken := before.slots.get(name)) is not None:
                taken.resize(count=slots.count, max_wait_s=slots.max_wait_s)
                self.slots[name] = taken
        for name in self.gauges.keys() & before.gauges.keys():
            self.gauges[name] = before.gauges[name]
        for _, name, target in self.list_targets():
            same = known[target.provider.identity]
            former = same.popleft() if same else None
            target.slots = self.slots.get(name)
            if former is not None:
                target.budget = former.budget
            if target.breaker is not None:
                kept = former.breaker if former is not None else None
                target.breaker = kept or self._make_breaker(name)
        self._tell_of_breakers({**before.gauges, **self.gauges})
        self.cooldowns.take_over(before.cooldowns)

    def list_targets(self) -> Iterator[tuple[int | None, str, Target]]:
        """Return every target, each with its provider's name, and the row that it is of."""
        for name, target in self._targets.items():
            yield None, name, target
        for (row, name), target in self._alias_targets.items():
            yield row, name, target

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

        Raises what the provider raises, UPSTREAM_TIMEOUT, DEADLINE, and `RefusedError`.
        """
        async with RunningAttempt(
            order, order.terms.timeout_s, account, self._alarms, self._metrics
        ) as attempt:
            priced = self._prices.prepare(order.target.vendor_url)
            answer = await order.target.provider.complete(
                order.request, caller_key=order.caller_key, begun=attempt.note_begun
            )
            attempt.succeed(answer.finish, answer.id)
        if priced:
            account.cost = await self._charge(order, answer.finish)
        return answer

    async def stream(self, order: Order, emit: Emit, account: Account) -> Finish:
        """Emit the provider's answer as it arrives, and return its end.

        Raises what `complete` raises.
        """
        limit_s = order.terms.stream_timeout_s or order.terms.timeout_s
        async with RunningAttempt(
            order, limit_s, account, self._alarms, self._metrics, stream=True
        ) as attempt:

            async def emit_timed(deltas: Sequence[Delta]) -> None:
                attempt.note_first_chunk(deltas)
                await emit(deltas)

            priced = self._prices.prepare(order.target.vendor_url)
            finish = await order.target.provider.stream(
                order.request, emit_timed, caller_key=order.caller_key
            )
            attempt.succeed(finish)
        if priced:
            account.cost = await self._charge(order, finish)
        return finish

    async def _charge(self, order: Order, finish: Finish) -> Cost | None:
        """Return what an answer cost, as far as that is known, and count it."""
        cost = await self._prices.find(
            order.target.vendor_url, order.request, finish, deadline=order.deadline
        )
        if cost is not None:
            self._metrics.of(order.choice.provider, order.choice.model).charged(cost.usd)
        return cost
