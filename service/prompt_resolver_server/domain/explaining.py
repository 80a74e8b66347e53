"""How a call is resolved, step by step, for whoever asks; what nobody asks for costs nothing.

The steps are told where they are taken, by the code that every call runs through. They hold no
secret, no value of a variable and no text of a prompt.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from .parameters import Json, JsonObject
from .values import Value

StepName = Literal[
    "alias", "store", "cache", "fetch", "render", "model", "parameters", "log", "error"
]


class Step(Value, frozen=True):
    """A step that was taken: what it decided, for people, and the particulars."""

    shown = ("name", "outcome")

    name: StepName
    outcome: str
    details: JsonObject


_steps: ContextVar[list[Step] | None] = ContextVar("steps", default=None)


explaining: Callable[[], list[Step] | None] = _steps.get
"""Return the steps that were told so far, None if nobody asks: so calls pay next to nothing."""


def tell(name: StepName, outcome: str, **details: Json) -> None:
    """Tell of a step, if anybody asks. Details that are None are left out."""
    steps = _steps.get()
    if steps is not None:
        known = {key: value for key, value in details.items() if value is not None}
        steps.append(Step(name, outcome, known))


@contextmanager
def recording() -> Iterator[list[Step]]:
    """Collect the steps that are taken until the context ends."""
    steps: list[Step] = []
    token = _steps.set(steps)
    try:
        yield steps
    finally:
        _steps.reset(token)
