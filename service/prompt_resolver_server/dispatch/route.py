"""Where a call goes: to one of an alias' deployments, and from there to the next candidate."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..domain.aliases import Alias, Deployment
from ..domain.errors import Reason, ResolverError
from .cooldowns import Cooldowns
from .retries import Remedy, find_remedy, pause_s

Draw = Callable[[], float]
"""Returns random numbers from 0 to 1."""


def shares(deployments: Sequence[Deployment]) -> list[float]:
    """Return how much of the calls each deployment gets: by weight, among those of lowest order.

    Where all of these weigh nothing, all are equal.
    """
    first = min(each.order for each in deployments)
    weights = [each.weight if each.order == first else 0.0 for each in deployments]
    if not any(weights):
        weights = [1.0 if each.order == first else 0.0 for each in deployments]
    return [weight / sum(weights) for weight in weights]


def pick(deployments: Sequence[Deployment], draw: Draw) -> Deployment:
    """Return one of the deployments, as often as its share says."""
    if len(deployments) == 1:
        return deployments[0]
    point = draw()
    chosen = deployments[0]
    for each, share in zip(deployments, shares(deployments), strict=True):
        if share > 0:
            chosen = each
            point -= share
            if point < 0:
                break
    return chosen


class Step(NamedTuple):
    """The next candidate of a call, and how long to pause before it.

    `until` is when its provider takes calls again by its own word, on the clock of the route; 0 if
    it did not say. The pause comes thereafter.
    """

    alias: Alias
    deployment: Deployment
    is_fallback: bool = False
    pause_s: float = 0.0
    until: float = 0.0


def count_others(alias: Alias, deployment: Deployment) -> int:
    """Return how many candidates there are for a call beside the first one."""
    rows = min(len(alias.deployments) - 1, deployment.terms.retries)
    return rows + len(alias.fallbacks.general)


class Route:
    """One call's way through its candidates, one failure after the other.

    A retry goes to a deployment that has not been tried, if there is one, and rather to one that is
    not put aside. When an alias' retries are used up, or are of no use, the fallbacks of the first
    alias follow, each of which has retries of its own. Their own fallbacks do not count.
    """

    def __init__(
        self,
        alias: Alias,
        deployment: Deployment,
        *,
        aliases: Mapping[str, Alias],
        cooldowns: Cooldowns,
        draw: Draw,
        clock: Callable[[], float],
    ) -> None:
        self._first = alias
        self._aliases = aliases
        self._cooldowns = cooldowns
        self._draw = draw
        self._clock = clock
        self._fallbacks: deque[str] | None = None
        # Whether none of the current alias has been asked yet, which answers for another.
        self._falls_back = False
        self._enter(alias, deployment)

    @property
    def others(self) -> int:
        """How many candidates there are after the current one that have not been tried."""
        rows = sum(
            each.row not in self._tried and each.row not in self._barred
            for each in self._alias.deployments
        )
        left = self._first.fallbacks.general if self._fallbacks is None else self._fallbacks
        return min(rows, self._most - self._retries) + len(left)

    def next(self, error: ResolverError) -> Step | None:
        """Return where to go after the current candidate has failed; None if that was the last."""
        if error.reason is Reason.DEADLINE:
            return None
        self._falls_back = False
        remedy = find_remedy(error)
        if remedy is not Remedy.SAME_DEPLOYMENT:
            self._barred.add(self._deployment.row)
        elif error.retry_after_s is not None:
            self._until[self._deployment.row] = self._clock() + error.retry_after_s
        if self._fallbacks is None and remedy < Remedy.OTHER_ALIAS:
            return None
        usable = self._usable()
        if remedy < Remedy.OTHER_DEPLOYMENT or not usable or self._retries >= self._most:
            return self._fall_back(error.reason)
        self._retries += 1
        return self._go_to(usable, pausing=True)

    def skip(self, reason: Reason) -> Step | None:
        """Return where to go in place of the current candidate, which is not asked.

        That takes no retry. `reason` is why the one before it failed, or this one is not asked.
        """
        self._barred.add(self._deployment.row)
        usable = self._usable()
        return self._go_to(usable, pausing=False) if usable else self._fall_back(reason)

    def detour(self) -> Step | None:
        """Return a fallback that is not put aside, in place of an alias of which all rows are."""
        names = self._first.fallbacks.for_reason(Reason.UPSTREAM_RATE_LIMITED)
        for index, name in enumerate(names):
            alias = self._aliases[name]
            deployment = pick(self._cooldowns.free(alias.deployments), self._draw)
            if not self._cooldowns.holds(deployment.row):
                self._fallbacks = deque(names[index + 1 :])
                self._enter(alias, deployment)
                self._falls_back = True
                return Step(alias, deployment, is_fallback=True)
        return None

    def _enter(self, alias: Alias, deployment: Deployment) -> None:
        self._alias = alias
        self._deployment = deployment
        self._retries = 0
        self._most = deployment.terms.retries
        self._tried = {deployment.row}
        self._barred: set[int] = set()
        self._until: dict[int, float] = {}

    def _usable(self) -> Sequence[Deployment]:
        return [each for each in self._alias.deployments if each.row not in self._barred]

    def _go_to(self, usable: Sequence[Deployment], *, pausing: bool) -> Step:
        """Go to one of the rows. Where it has been tried in this call, a pause comes before it."""
        deployment = self._choose(usable)
        row = deployment.row
        until = self._until.get(row, 0.0)
        pause = 0.0
        if pausing or row in self._tried:
            after_s = max(0.0, until - self._clock())
            pause = pause_s(max(0, self._retries - 1), self._draw, after_s=after_s)
        self._deployment = deployment
        self._tried.add(row)
        return Step(self._alias, deployment, self._falls_back, pause_s=pause, until=until)

    def _choose(self, usable: Sequence[Deployment]) -> Deployment:
        fresh = [each for each in usable if each.row not in self._tried]
        others = [each for each in usable if each.row != self._deployment.row]
        for rows in (fresh, others, usable):
            free = [each for each in rows if not self._cooldowns.holds(each.row)]
            if free:
                return pick(free, self._draw)
        return pick(self._cooldowns.free(fresh or others or usable), self._draw)

    def _fall_back(self, reason: Reason) -> Step | None:
        if self._fallbacks is None:
            self._fallbacks = deque(self._first.fallbacks.for_reason(reason))
        if not self._fallbacks:
            return None
        alias = self._aliases[self._fallbacks.popleft()]
        self._enter(alias, pick(self._cooldowns.free(alias.deployments), self._draw))
        self._falls_back = True
        return Step(alias, self._deployment, is_fallback=True)
