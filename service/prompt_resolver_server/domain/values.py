"""What all values are: immutable, cheap to make, and silent about what they hold."""

from typing import ClassVar

import msgspec
from typing_extensions import override


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
