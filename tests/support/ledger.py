"""What callers asked, what providers were asked for it, and whether the one follows from the other.

A ledger is kept while something runs, from the outside, and is judged afterwards. Each rule allows
for what nobody outside can know, such as when a connection's end was noticed. All times are seconds
of one monotonic clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

# How long a caller's leaving may take to reach a provider.
_NOTICED_S = 0.1
# How exactly it is known when a provider is done with a request.
_EXACT_S = 0.05
_RESERVE = 10
_REASONS = frozenset(
    {
        "UPSTREAM_UNAVAILABLE",
        "UPSTREAM_OVERLOADED",
        "UPSTREAM_RATE_LIMITED",
        "UPSTREAM_TIMEOUT",
        "UPSTREAM_PROTOCOL",
        "UPSTREAM_TRUNCATED",
        "OVERLOADED",
        "DEADLINE",
        "DEADLINE_EXCEEDED",
        "LEFT",
    }
)
# What a caller decides by itself, which may be when all of an answer has come.
_OWN = frozenset({"LEFT", "DEADLINE_EXCEEDED"})
# What comes of a request that a provider has not read.
_UNSEEN = frozenset({"upstream_unavailable", "upstream_timeout"})


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request that a provider was sent for a call, and what it answers, as far as it gets.

    `text` is what its answer says. It `is_whole` once all of it was sent, and `closed_at` is when a
    provider that waited saw that nobody listens.
    """

    call: int
    provider: str
    model: str
    key: str
    text: str
    mood: str
    at: float
    is_whole: bool = False
    ended_at: float = inf
    closed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as the answer tells of it; `is_asked` if its provider was asked."""

    provider: str
    model: str
    outcome: str
    is_asked: bool


@dataclass(slots=True, kw_only=True)
class Call:
    """A call, and what came of it. `reason` is empty if it was answered.

    `kinds` are those of a stream's events. `over_at` is when its caller stops listening: it leaves,
    or its deadline passes. `told` is how many requests the caller was told of.
    """

    number: int
    keys: Mapping[str, str]
    is_stream: bool
    at: float
    over_at: float
    ended_at: float = inf
    reason: str = ""
    text: str = ""
    provider: str = ""
    kinds: list[str | None] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    told: int | None = None


@dataclass
class Ledger:
    """Is kept by callers and providers, and judges.

    `keys` are those that each provider's models are asked with, and `slots` how many requests a
    provider may have at once. `late_s` is the longest that the event loop itself was late.
    """

    keys: Mapping[str, Mapping[str, str]]
    slots: Mapping[str, int]
    calls: list[Call] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    late_s: float = 0.0

    def faults(self) -> list[str]:
        """Return what broke a rule, each in a line."""
        return [
            fault
            for call in self.calls
            for judge in (
                self._judge_answer,
                self._judge_events,
                self._judge_attempts,
                self._judge_failure,
                self._judge_end,
            )
            for fault in judge(call)
        ] + [*self._judge_keys(), *self._judge_load(), *self._judge_slots()]

    @property
    def load(self) -> float:
        """How many requests there were for each call."""
        return len(self.asked) / len(self.calls)

    @cached_property
    def _by_call(self) -> Mapping[int, list[Asked]]:
        by_call: dict[int, list[Asked]] = defaultdict(list)
        for each in sorted(self.asked, key=lambda each: each.at):
            by_call[each.call].append(each)
        return by_call

    def _judge_answer(self, call: Call) -> Iterator[str]:
        """What a caller reads is the answer to the last request for its call, and whole if OK."""
        asked = self._by_call.get(call.number, [])
        if call.text and not (asked and asked[-1].text.startswith(call.text)):
            yield f"nobody's answer to this call: {call} {asked}"
        if not call.reason:
            last = asked[-1] if asked else None
            if last is None or call.text != last.text or not last.is_whole:
                yield f"OK without a whole answer: {call} {asked}"
            elif call.provider != last.provider:
                yield f"another provider's answer: {call} {asked}"

    def _judge_events(self, call: Call) -> Iterator[str]:
        """A stream begins with `started`, and ends in `finished` or in a failure."""
        if not call.is_stream:
            return
        begun = call.kinds[:1] == ["started"] and call.kinds.count("started") == 1
        ended = call.kinds.count("finished") == 1 and call.kinds[-1] == "finished"
        if call.kinds and not begun:
            yield f"a stream without a beginning: {call}"
        if ended == bool(call.reason) and not (ended and call.reason in _OWN):
            yield f"a stream without an end: {call}"

    def _judge_attempts(self, call: Call) -> Iterator[str]:
        """The attempts that are told of are the requests that were seen, in their order."""
        asked = self._by_call.get(call.number, [])
        if call.told is not None and len(asked) > call.told:
            yield f"told of fewer requests than there were: {call} {asked}"
        if call.reason:
            return
        seen = [(each.provider, each.model) for each in asked]
        if not _are_those(seen, [each for each in call.attempts if each.is_asked]):
            yield f"told of other requests than there were: {call} {asked}"

    def _judge_failure(self, call: Call) -> Iterator[str]:
        """A call fails because of its providers, its time, or its caller."""
        if call.reason and call.reason not in _REASONS:
            yield f"failed without a cause: {call}"

    def _judge_end(self, call: Call) -> Iterator[str]:
        """When the caller is gone, so is the call, and everything that was asked for it."""
        latest = call.over_at + _NOTICED_S + self.late_s
        if call.ended_at > latest:
            yield f"ended {call.ended_at - call.over_at:.3f} s too late: {call}"
        for each in self._by_call.get(call.number, []):
            if each.at > latest:
                yield f"asked {each.at - call.over_at:.3f} s after its caller left: {call} {each}"
            if each.closed_at > latest:
                late_s = each.closed_at - call.over_at
                yield f"left {late_s:.3f} s after its caller: {call} {each}"

    def _judge_keys(self) -> Iterator[str]:
        """A caller's own key goes to the provider in its name, and ours to the one it is for."""
        calls = {each.number: each for each in self.calls}
        for each in self.asked:
            own = calls[each.call].keys.get(each.provider)
            expected = own or self.keys[each.provider].get(each.model)
            if each.key != expected:
                yield f"asked with another key: {each}"

    def _judge_load(self) -> Iterator[str]:
        """Who has been asked for a call is asked again for one call in five, and ten times more."""
        times: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for each in self.asked:
            times[each.provider, each.model][each.call] += 1
        for target, by_call in times.items():
            again = sum(by_call.values()) - len(by_call)
            if again > len(by_call) / 5 + _RESERVE:
                yield f"{target} was asked again {again} times for {len(by_call)} calls"

    def _judge_slots(self) -> Iterator[str]:
        """A provider has no more requests at once than it may."""
        for provider, most in self.slots.items():
            mine = [each for each in self.asked if each.provider == provider]
            for each in mine:
                at_once = sum(_runs_at(mine, each.at))
                if at_once > most:
                    yield f"{at_once} at once: {each}"


def _runs_at(asked: Iterable[Asked], at: float) -> Iterator[bool]:
    return (each.at <= at < each.ended_at - _EXACT_S for each in asked)


def _are_those(seen: Sequence[tuple[str, str]], attempts: Sequence[Attempt]) -> bool:
    """Tell whether requests are those of the attempts, some of which nobody may have seen."""
    if not attempts:
        return not seen
    first, *others = attempts
    if seen and seen[0] == (first.provider, first.model) and _are_those(seen[1:], others):
        return True
    return first.outcome in _UNSEEN and _are_those(seen, others)
