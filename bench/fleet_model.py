"""What fleets of other sizes would ask of their store and their Redis, by what some were seen to.

Without Redis each instance asks for each prompt once within its time to live, a little early: its
last twentieth, on average, is not used. With Redis one of them asks for all. How often Redis is
asked for each refresh, by the instance that asks the store and by the others, is taken from the two
smallest fleets that were seen; the others show how far that is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_USED_OF_TTL = 0.95
_LARGER = (10, 100)
_PROMPTS, _TTL_S = 200, 60.0
"""What larger fleets are said to serve: so many prompts, with the time to live of the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """So many instances, which serve so many prompts."""

    pods: int
    prompts: int
    ttl_s: float
    redis: bool

    @property
    def store_requests(self) -> float:
        """How often the store is asked in a second."""
        refreshes = self.prompts / (_USED_OF_TTL * self.ttl_s)
        return refreshes if self.redis else self.pods * refreshes


@dataclass(frozen=True, slots=True)
class Figures:
    """What a fleet was seen to ask for in a second."""

    fleet: Fleet
    store_requests: float
    redis_commands: float


def predict(figures: Sequence[Figures]) -> list[Mapping[str, object]]:
    """Return what fleets ask for by the model: those that were seen, and larger ones."""
    commands = _Commands.of(figures)
    rows = [_row(each.fleet, commands, each) for each in figures]
    for redis in (False, True):
        for pods in _LARGER:
            fleet = Fleet(pods=pods, prompts=_PROMPTS, ttl_s=_TTL_S, redis=redis)
            rows.append(_row(fleet, commands, None))
    return rows


@dataclass(frozen=True, slots=True)
class _Commands:
    """How many commands Redis gets for a refresh: of who asks the store, of each who does not."""

    asking: float = 0.0
    following: float = 0.0

    @staticmethod
    def of(figures: Sequence[Figures]) -> "_Commands":
        """Return what the two smallest fleets with Redis tell."""
        shared = sorted(
            (each for each in figures if each.fleet.redis), key=lambda it: it.fleet.pods
        )
        seen = [each.redis_commands / each.fleet.store_requests for each in shared[:2]]
        if len(seen) < 2:
            return _Commands(*seen)
        first, second = (each.fleet.pods for each in shared[:2])
        following = (seen[1] - seen[0]) / (second - first)
        return _Commands(seen[0] - (first - 1) * following, following)

    def in_a_second(self, fleet: Fleet) -> float:
        """Return how many commands a fleet has for its Redis."""
        if not fleet.redis:
            return 0.0
        return fleet.store_requests * (self.asking + self.following * (fleet.pods - 1))


def _row(fleet: Fleet, commands: _Commands, seen: Figures | None) -> Mapping[str, object]:
    row: dict[str, object] = {
        "pods": fleet.pods,
        "prompts": fleet.prompts,
        "ttl_s": fleet.ttl_s,
        "redis": fleet.redis,
        "store_requests": round(fleet.store_requests, 2),
        "redis_commands": round(commands.in_a_second(fleet), 1),
    }
    if seen is not None:
        row["store_requests_seen"] = seen.store_requests
        row["redis_commands_seen"] = seen.redis_commands
    return row


def format_model(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the model's rows as a table of Markdown."""
    heads = (
        "pods", "prompts", "ttl s", "Redis", "store requests/s", "Redis commands/s",
        "store requests/s seen", "Redis commands/s seen",
    )  # fmt: skip
    lines = [[str(value) for value in row.values()] for row in rows]
    lines = [line + [""] * (len(heads) - len(line)) for line in lines]
    table = [list(heads), ["-"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)
