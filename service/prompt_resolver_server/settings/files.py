"""Files that may be replaced, or written to, while the service runs."""

import os
import stat
from pathlib import Path
from typing import TypeAlias

Look: TypeAlias = tuple[int, int, int]
"""What a file looks like: one that was replaced, or written to, looks different."""


def look_at(path: Path) -> Look:
    """Return what a file looks like, which changes with its content, wherever links lead.

    Raises `OSError`.
    """
    return _look(os.stat(path))


def look_if_there(path: Path) -> Look | None:
    """Return the same, or None for a file that cannot be looked at."""
    try:
        return look_at(path)
    except OSError:
        return None


def read_whole(path: Path) -> tuple[str, Look]:
    """Return the text that is in a file, and what that looks like.

    Raises `UnicodeDecodeError` and `OSError`, the latter also for a file that is being written.
    """
    with path.open(encoding="utf-8") as file:
        before = os.fstat(file.fileno())
        text = file.read()
        # A pipe changes by being read.
        if stat.S_ISREG(before.st_mode) and _look(os.fstat(file.fileno())) != _look(before):
            raise OSError(None, "it is being written")
    return text, _look(before)


def _look(status: os.stat_result) -> Look:
    return status.st_ino, status.st_size, status.st_mtime_ns
