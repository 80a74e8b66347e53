"""Whether a provider is asked now: not while its breaker is open, nor beyond its slots."""

import asyncio

from ..domain.errors import Reason, ResolverError, ServerError, UpstreamError
from .breaker import Verdict
from .orders import Order, Target

_RETRY_AFTER_S = 0.5


class RefusedError(Exception):
    """A provider was not asked.

    `outcome` is the word for it in the account, and `error` what the caller is told if nobody else
    answers.
    """

    def __init__(self, outcome: str, error: ResolverError) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.error = error


async def let_in(order: Order) -> bool:
    """Have a provider called. Return whether the call is a probe.

    Waits for a slot. Raises `RefusedError`, and DEADLINE. What was let in has to `leave`.
    """
    target = order.target
    breaker, slots = target.breaker, target.slots
    if breaker is not None and breaker.is_open:
        _check_breaker(order)
    if slots is not None:
        await _take_slot(order)
        # It may have opened in the meantime.
        if breaker is not None and breaker.is_open:
            try:
                _check_breaker(order)
            except RefusedError:
                slots.give_back()
                raise
    return breaker.enter() if breaker is not None and breaker.is_open else False


def leave(target: Target, verdict: Verdict, outcome: str, *, era: int, is_probe: bool) -> None:
    """Note the end of a call that was let in in an era of the breaker, and what that tells.

    A probe whose result has been counted already is none any more.
    """
    breaker, slots = target.breaker, target.slots
    if slots is not None:
        slots.give_back()
    if breaker is not None:
        if is_probe:
            breaker.note_probe(verdict, outcome)
        else:
            breaker.note(verdict, outcome, era)


def _check_breaker(order: Order) -> None:
    breaker, provider = order.target.breaker, order.choice.provider
    if breaker is None or (wait_s := breaker.wait_s()) <= 0:
        return
    raise RefusedError(
        "breaker_open",
        UpstreamError(
            Reason.UPSTREAM_UNAVAILABLE,
            f"provider {provider!r} has failed again and again, and is left alone for a moment",
            metadata={"provider": provider, "breaker": "open", "cause": breaker.cause},
            retry_after_s=wait_s,
        ),
    )


async def _take_slot(order: Order) -> None:
    provider, slots = order.choice.provider, order.target.slots
    assert slots is not None
    # Timers are not that exact: which of the two it was that passed is not to be asked thereafter.
    ends_it = order.deadline <= asyncio.get_running_loop().time() + slots.max_wait_s
    try:
        await slots.take(order.deadline)
    except TimeoutError:
        if ends_it:
            raise ServerError(
                Reason.DEADLINE,
                f"the deadline passed while the call waited for provider {provider!r}",
                metadata={"phase": "upstream", "attempts": "0"},
            ) from None
        raise RefusedError(
            "queue_full",
            ServerError(
                Reason.OVERLOADED,
                f"provider {provider!r} has as many calls as it may have at once",
                metadata={"provider": provider, "limit": str(slots.count)},
                retry_after_s=_RETRY_AFTER_S,
            ),
        ) from None
