"""Whether it is the service's own end that has ended something."""

import asyncio
from typing import Any

_MESSAGE = "shutdown"


def cut_off(task: asyncio.Task[Any]) -> None:
    """Cancel what the service waits for no longer, so that `was_cut_off` tells it."""
    task.cancel(_MESSAGE)


def was_cut_off(cancellation: asyncio.CancelledError) -> bool:
    """Tell whether what has just been cancelled was cut off."""
    return _MESSAGE in cancellation.args
