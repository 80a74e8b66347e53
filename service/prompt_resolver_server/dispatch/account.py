"""What was done to have one call answered: every attempt, and what became of it."""

from ..domain.answers import Attempt, Cost, Dispatch
from ..domain.prompts import ResolvedPrompt
from .notation import ModelChoice
from .orders import Target


class Account:
    """What happened so far to have one call answered.

    `asked` is how many calls were made to providers, and `targets` are those. `delivered` tells
    whether the caller has seen something of an answer: there is no way back then. `waited_s` is how
    long it took so far that was not ours: of attempts, and until it was their turn. `cost` is what
    the answer cost.
    """

    __slots__ = (
        "asked",
        "attempts",
        "cost",
        "delivered",
        "targets",
        "upstream_s",
        "waited_s",
    )

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.targets: list[Target] = []
        self.asked = 0
        self.upstream_s = 0.0
        self.delivered = False
        self.waited_s = 0.0
        self.cost: Cost | None = None

    def close(self, prompt: ResolvedPrompt) -> Dispatch:
        """Return how an answer came about, whose prompt this is."""
        return Dispatch(
            prompt=prompt,
            attempts=tuple(self.attempts),
            upstream_s=self.upstream_s,
            waited_s=self.waited_s,
            cost=self.cost,
        )

    def pass_over(self, choice: ModelChoice, outcome: str) -> None:
        """Note a candidate that was not asked, and why."""
        self.attempts.append(
            Attempt(provider=choice.provider, model=choice.model, outcome=outcome, duration_s=None)
        )
