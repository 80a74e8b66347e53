"""How many calls run at once. More are refused at once, so that those that run end in time."""

from collections.abc import Mapping
from typing import Literal

from ..domain.errors import Reason, ServerError
from ..metrics import Metrics

CallClass = Literal["resolve", "complete", "stream", "watch"]

_RETRY_AFTER_S = 0.5


class Gate:
    """Lets calls of one class in, up to a limit, which may be changed."""

    def __init__(self, name: CallClass, limit: int, metrics: Metrics) -> None:
        self._name = name
        self.limit = limit
        self._running = 0
        self._shed = metrics.watch_class(name, lambda: self._running)

    @property
    def running(self) -> int:
        """How many calls are in."""
        return self._running

    def enter(self) -> None:
        """Count a call that begins. Raises OVERLOADED where too many run."""
        if self._running >= self.limit:
            self._shed.value += 1
            raise ServerError(
                Reason.OVERLOADED,
                f"this server runs {self.limit} calls of this class, which is all that it may",
                metadata={"class": self._name, "limit": str(self.limit)},
                retry_after_s=_RETRY_AFTER_S,
            )
        self._running += 1

    def leave(self) -> None:
        """Count a call that entered and has ended."""
        self._running -= 1


def make_gates(limits: Mapping[CallClass, int], metrics: Metrics) -> Mapping[CallClass, Gate]:
    """Return the gate of each class."""
    return {name: Gate(name, limit, metrics) for name, limit in limits.items()}
