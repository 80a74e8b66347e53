"""Which files the interpreter opens."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

listeners: list[Callable[[str], None]] = []


def _tell_opening(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and listeners:
        name = arguments[0]
        listeners[-1](os.fsdecode(name) if isinstance(name, str | bytes) else "")


sys.addaudithook(_tell_opening)


@contextmanager
def files_opened() -> Iterator[list[str]]:
    """Collect the names of all files that the interpreter opens."""
    names: list[str] = []
    listeners.append(names.append)
    try:
        yield names
    finally:
        listeners.pop()
