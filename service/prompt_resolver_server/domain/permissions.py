"""What a caller may use: the prompts, stores, aliases and models that it may name."""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import field

from .errors import Blame, CallError, Reason
from .values import Value

Kind = Literal["prompt", "store", "alias", "model"]
"""What rules are about."""


class Globs(Value, frozen=True):
    """A set of names: those that are told as they are, and those that globs match.

    In a glob `*` stands for any characters, however many, slashes included, and for none.
    Everything else stands for itself.
    """

    exact: frozenset[str]
    split: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, globs: Iterable[str]) -> "Globs":
        """Return the set that some globs describe; without any it is empty."""
        parts = [tuple(glob.split("*")) for glob in globs]
        return cls(
            frozenset(each[0] for each in parts if len(each) == 1),
            tuple(each for each in parts if len(each) > 1),
        )

    def __contains__(self, name: str) -> bool:
        """Tell whether a name is in the set."""
        return name in self.exact or any(_matches(parts, name) for parts in self.split)


def _matches(parts: tuple[str, ...], name: str) -> bool:
    """Tell whether a name has these parts in this order, the first and the last at its ends.

    Nothing is looked at twice: callers choose names, of any length.
    """
    first, *between, last = parts
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in between:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class Permissions(Value, frozen=True):
    """The rules of a caller. What there is no rule for, it may use all of."""

    rules: Mapping[Kind, Globs] = field(default_factory=dict)

    @property
    def are_limited(self) -> bool:
        """Whether there is any rule."""
        return bool(self.rules)

    def allow(self, kind: Kind, name: str) -> bool:
        """Tell whether the caller may use what has this name, whether or not there is any."""
        rule = self.rules.get(kind)
        return rule is None or name in rule

    def check(self, kind: Kind, name: str) -> None:
        """Raise CALLER_FORBIDDEN for what the caller may not use."""
        if not self.allow(kind, name):
            raise forbidden(kind, f"the {kind} {name!r}")


UNLIMITED = Permissions()
"""Those of callers without rules."""


def forbidden(kind: Kind, what: str) -> CallError:
    """Return the error for something that a caller may not use, and that the message calls so."""
    return CallError(
        Reason.CALLER_FORBIDDEN,
        f"this caller may not use {what}",
        metadata={"kind": kind},
        blame=Blame.CALLER_DENIED,
    )
