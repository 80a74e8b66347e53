"""Where a call goes: to one of an alias' deployments, and from there to the next candidate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..aliases import Alias, Deployment
from ..errors import Reason, ResolverError
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
    it did not say.
    """

    alias: Alias
    deployment: Deployment
    is_fallback: bool = False
    pause_s: float = 0.0
    until: float = 0.0


class Route:
    """One call's way through its candidates, one failure after the other.

    A retry goes to a deployment that has not been tried, if there is one. When an alias' retries
    are used up, or are of no use, the fallbacks of the first alias follow, each of which has
    retries of its own. Their own fallbacks do not count.
    """

    def __init__(
        self,
        alias: Alias,
        deployment: Deployment,
        *,
        aliases: Mapping[str, Alias],
        draw: Draw,
        clock: Callable[[], float],
    ) -> None:
        self._first = alias
        self._aliases = aliases
        self._draw = draw
        self._clock = clock
        self._fallbacks: Iterator[str] | None = None
        self._enter(alias, deployment)

    def next(self, error: ResolverError) -> Step | None:
        """Return where to go after the current candidate has failed; None if that was the last."""
        if error.reason is Reason.DEADLINE:
            return None
        remedy = find_remedy(error)
        if remedy is not Remedy.SAME_DEPLOYMENT:
            self._barred.add(self._deployment.row)
        elif error.retry_after_s is not None:
            self._until[self._deployment.row] = self._clock() + error.retry_after_s
        retry = self._retry() if remedy >= Remedy.OTHER_DEPLOYMENT else None
        if retry is None and (remedy >= Remedy.OTHER_ALIAS or self._fallbacks is not None):
            return self._fall_back(error.reason)
        return retry

    def skip(self, reason: Reason) -> Step | None:
        """Return where to go in place of the current candidate, which cannot be called.

        `reason` is why the one before it failed.
        """
        self._barred.add(self._deployment.row)
        return self._retry() or self._fall_back(reason)

    def _enter(self, alias: Alias, deployment: Deployment) -> None:
        self._alias = alias
        self._deployment = deployment
        self._retries = 0
        self._most = deployment.terms.retries
        self._tried = {deployment.row}
        self._barred: set[int] = set()
        self._until: dict[int, float] = {}

    def _retry(self) -> Step | None:
        usable = [each for each in self._alias.deployments if each.row not in self._barred]
        if not usable or self._retries >= self._most:
            return None
        fresh = [each for each in usable if each.row not in self._tried]
        others = [each for each in usable if each.row != self._deployment.row]
        deployment = pick(fresh or others or usable, self._draw)
        pause = pause_s(self._retries, self._draw)
        self._retries += 1
        self._deployment = deployment
        self._tried.add(deployment.row)
        until = self._until.get(deployment.row, 0.0)
        return Step(self._alias, deployment, pause_s=pause, until=until)

    def _fall_back(self, reason: Reason) -> Step | None:
        if self._fallbacks is None:
            self._fallbacks = iter(self._first.fallbacks.for_reason(reason))
        name = next(self._fallbacks, None)
        if name is None:
            return None
        alias = self._aliases[name]
        self._enter(alias, pick(alias.deployments, self._draw))
        return Step(alias, self._deployment, is_fallback=True)
