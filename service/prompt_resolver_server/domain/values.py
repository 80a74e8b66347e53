"""What all values are: immutable, cheap to make, and silent about what they hold."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar, TypeVarTuple

import msgspec
from typing_extensions import override

_Made = TypeVar("_Made")
_Given = TypeVarTuple("_Given")


class Value(msgspec.Struct, frozen=True):
    """A value. It is made within a call's microseconds, which a frozen dataclass is not.

    Its `repr` shows the fields that `shown` names and no others, so that no text, no schema and no
    key slips into a log.
    """

    shown: ClassVar[tuple[str, ...]] = ()

    @override
    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)
        return f"{type(self).__name__}({told})"


class LastingValue(Value, frozen=True, dict=True):
    """A value that serves many calls, and remembers what was made of it for them."""

    def once(self, make: Callable[[Self, *_Given], _Made], *given: *_Given) -> _Made:
        """Return what is made of this value, anew only where something else is given than before.

        `make` is pure, and what it returns is left as it is. It lasts as long as the value.
        """
        known = self._made.get(make)
        if known is None or known[0] != given:
            known = self._made[make] = given, make(self, *given)
        made: _Made = known[1]
        return made

    @cached_property
    def _made(self) -> dict[object, tuple[object, Any]]:
        return {}
