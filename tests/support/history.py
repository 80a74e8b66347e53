"""What a store said, what was served, and whether the one follows from the other.

A history is written down while something runs, from the outside, and is judged afterwards. Nothing
in it is a time that has to be met on the spot: each rule allows for what nobody outside can know,
such as when between its beginning and its end a call was answered. All times are seconds of one
monotonic clock.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf, log2
from typing import Literal

# How exactly times are known that two processes note.
_EXACT_S = 0.15


Word = Literal["confirmed", "absent", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Said:
    """What the store did with a request for a prompt: it confirmed a version, or it did not.

    `key` is the account that was asked for.
    """

    prompt: str
    key: str
    began_at: float
    at: float
    word: Word
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a call got: a version, or the reason why not.

    `life` is the process that was called, `store` the store that serves, and `asked` that of the
    call. `key` is the account whose prompt it is.
    """

    life: str
    asked: str
    prompt: str
    key: str
    began_at: float
    at: float
    refresh: bool = False
    store: str = ""
    version: str = ""
    cache: str = ""
    age_s: float = 0.0
    stale: bool = False
    reason: str = ""

    @property
    def confirmed(self) -> tuple[float, float]:
        """Between which times the store is said to have confirmed it."""
        return self.began_at - self.age_s, self.at - self.age_s


@dataclass(frozen=True, slots=True)
class Told:
    """What a watch was told of a prompt; `watcher` has one key and one process."""

    watcher: str
    prompt: str
    key: str
    at: float
    change: str
    store: str
    version: str


@dataclass(slots=True)
class Trouble:
    """When something failed: for one prompt or for all, in one process or in all.

    `is_down` tells that it was the store, and for all.
    """

    began_at: float
    prompt: str | None = None
    life: str | None = None
    is_down: bool = False
    ended_at: float = inf

    def touches(self, call: Served, since: float) -> bool:
        """Tell whether a call may have been touched by it, which had begun at a time or before."""
        mine = self.prompt in (None, call.prompt) and self.life in (None, call.life)
        return mine and self.began_at <= call.at and since <= self.ended_at


@dataclass
class History:
    """Writes down, and judges by the rules of the cache.

    `ttl_s` is the store's, `timeout_s` how long the store may take, `lives` how many processes run
    at once, and `fallbacks` are the stores that come after the first one of a chain. Of the prompts
    `always` the store is asked with each call. Who is `back` is noticed within `back_s`, and what a
    process that has gone had claimed is free after `claim_s`.

    `forgotten` are the times at which something was to be forgotten on demand, or a process was
    killed or could not be told of: what it asked goes on, and what it claimed stays claimed.
    """

    ttl_s: float
    timeout_s: float
    lives: int
    fallbacks: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    back_s: float = 2.0
    claim_s: float = 5.0
    said: list[Said] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    forgotten: list[float] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Return what broke a rule, each in a line."""
        self._confirmed: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for said in sorted(self.said, key=lambda each: each.at):
            if said.word == "confirmed":
                self._confirmed[said.prompt, said.key, said.version].append(said.at)
        own = [each for each in self.served if each.store and each.store not in self.fallbacks]
        return [
            *self._judge_versions(own),
            *self._judge_fallbacks(),
            *self._judge_order(own),
            *self._judge_staleness(own),
            *self._judge_absence(own),
            *self._judge_freshness(own),
            *self._judge_failures(),
            *self._judge_flights(),
            *self._judge_watches(),
        ]

    def _judge_versions(self, served: Iterable[Served]) -> Iterator[str]:
        """A version was said by the store, to this account, and not later than is told."""
        for each in served:
            times = self._confirmed[each.prompt, each.key, each.version]
            known = bisect_right(times, each.at)
            if not known:
                yield f"never said: {each}"
            elif each.confirmed[0] > times[known - 1] + _EXACT_S:
                late_s = each.confirmed[0] - times[known - 1]
                yield f"older by {late_s:.2f} s than it is told: {each}"

    def _judge_fallbacks(self) -> Iterator[str]:
        """What another store of a chain serves is marked as that."""
        for each in self.served:
            if each.store in self.fallbacks and each.cache != "FALLBACK":
                yield f"a fallback that does not say so: {each}"

    def _judge_order(self, served: Iterable[Served]) -> Iterator[str]:
        """No process serves what was confirmed before that which it has already served.

        Except for copies that outlived something, which say so.
        """
        for calls in _by_subject(served):
            ended = sorted(calls, key=lambda each: each.at)
            latest, index = None, 0
            for each in sorted(calls, key=lambda each: each.began_at):
                while index < len(ended) and ended[index].at <= each.began_at:
                    if latest is None or ended[index].confirmed[0] > latest.confirmed[0]:
                        latest = ended[index]
                    index += 1
                if latest is None or each.cache == "FALLBACK":
                    continue
                if each.confirmed[1] < latest.confirmed[0] - _EXACT_S:
                    yield f"went back: {each} after {latest}"

    def _judge_staleness(self, served: Iterable[Served]) -> Iterator[str]:
        """Only where the store fails, or failed a moment ago, is anything called stale."""
        for each in served:
            if each.stale and not self._troubled(each, each.began_at - self.back_s):
                yield f"stale without a cause: {each}"

    def _judge_absence(self, served: Iterable[Served]) -> Iterator[str]:
        """What the store has denied is served no more, unless it was confirmed again."""
        denied: dict[tuple[str, str], list[float]] = defaultdict(list)
        for said in self.said:
            if said.word in ("absent", "refused"):
                denied[said.prompt, said.key].append(said.at)
        for each in served:
            times = [
                at
                for at in denied[each.prompt, each.key]
                # By then all processes have heard of it.
                if at + self.back_s < each.began_at and each.confirmed[1] < at - _EXACT_S
            ]
            if times:
                yield f"denied {each.began_at - max(times):.2f} s before: {each}"

    def _judge_freshness(self, served: Iterable[Served]) -> Iterator[str]:
        """Without trouble, what a call finds due is fresh for those that come after it."""
        claims = [Trouble(at, ended_at=at + self.claim_s) for at in self.forgotten]
        for calls in _by_subject(served):
            ends = sorted(each.at for each in calls)
            for each in calls:
                since = each.began_at - self.back_s - self.timeout_s
                before = bisect_right(ends, each.began_at - self.timeout_s)
                if not before or self._troubled(each, since):
                    continue
                if any(claim.touches(each, since) for claim in claims):
                    continue
                ttl_s = 0.0 if each.prompt in self.always else self.ttl_s
                most_s = ttl_s + (each.at - ends[before - 1]) + self.timeout_s
                if each.age_s > most_s or each.cache == "FALLBACK":
                    yield f"should be fresh: {each}"

    def _judge_failures(self) -> Iterator[str]:
        """A call fails only where the store fails, or denies the prompt."""
        for each in self.served:
            since = each.began_at - self.back_s
            if each.reason in ("PROMPT_NOT_FOUND", "STORE_AUTH"):
                word = "absent" if each.reason == "PROMPT_NOT_FOUND" else "refused"
                explained = any(
                    (said.prompt, said.key, said.word) == (each.prompt, each.key, word)
                    and since - self.ttl_s <= said.at <= each.at
                    for said in self.said
                )
            else:
                explained = not each.reason or self._troubled(each, since)
            if not explained:
                yield f"failed without a cause: {each}"

    def _judge_flights(self) -> Iterator[str]:
        """Each process asks for one prompt once at a time, and a store that is down seldom."""
        by_key: dict[tuple[str, str], list[Said]] = defaultdict(list)
        for said in self.said:
            by_key[said.prompt, said.key].append(said)
        for (prompt, key), asked in by_key.items():
            for said in asked:
                # Who forgets leaves a fetch behind that goes on, and has all others do so.
                most = self.lives * (1 + self._left_behind(said.began_at))
                at_once = sum(each.began_at <= said.began_at < each.at for each in asked)
                if at_once > most:
                    yield f"{at_once} at once for {prompt} of {key}"
        for trouble in self.troubles:
            if trouble.is_down:
                yield from self._judge_outage(trouble)

    def _judge_outage(self, trouble: Trouble) -> Iterator[str]:
        """While the store is down, each key has its steps, which grow, beside one probe for all."""
        ended_at = min(trouble.ended_at, max(each.at for each in self.served))
        down_s = ended_at - trouble.began_at
        asked = [
            each
            for each in self.said
            if trouble.began_at <= each.began_at < ended_at and each.prompt not in self.always
        ]
        keys = len({(each.prompt, each.key) for each in asked})
        refreshed = sum(
            each.refresh and each.at >= trouble.began_at and each.began_at < ended_at
            for each in self.served
        )
        left = sum(trouble.began_at <= at < ended_at for at in self.forgotten)
        steps = 2 + log2(8 * down_s + 1)
        most = self.lives * (1 + down_s / 1.5 + keys * steps) + refreshed + left * keys
        if len(asked) > most:
            yield f"asked {len(asked)} times in {down_s:.1f} s, not {most:.0f}: {trouble}"

    def _judge_watches(self) -> Iterator[str]:
        """A watch is told of versions that the store said to its account, or of fallbacks."""
        for each in self.told:
            if not each.version or each.store in self.fallbacks:
                continue
            times = self._confirmed[each.prompt, each.key, each.version]
            if not bisect_right(times, each.at + _EXACT_S):
                yield f"never said: {each}"

    def _troubled(self, call: Served, since: float) -> bool:
        return any(each.touches(call, since) for each in self.troubles)

    def _left_behind(self, at: float) -> int:
        return sum(
            at - self.timeout_s - _EXACT_S <= when <= at + _EXACT_S for when in self.forgotten
        )


def _by_subject(served: Iterable[Served]) -> Iterable[list[Served]]:
    """Return the calls apart that may not be compared: of other processes, prompts or accounts."""
    calls: dict[tuple[str, ...], list[Served]] = defaultdict(list)
    for each in served:
        calls[each.life, each.store, each.prompt, each.key].append(each)
    return calls.values()
