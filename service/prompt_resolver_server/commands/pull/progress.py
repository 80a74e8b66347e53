"""Tells how far a pull is, on standard error: a bar on a terminal, else a line for each prompt."""

import shutil
import sys
from typing import TextIO

_BAR = 24


class Progress:
    """Writes to a stream, which is a terminal or is not; by default to standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._total = 0
        self._done = 0

    def begin(self, total: int) -> None:
        """Say how many prompts there are."""
        self._total = total
        self._draw("")

    def step(self, path: str, outcome: str, *, is_news: bool) -> None:
        """Say how a prompt ended; where that is no news, it only counts."""
        self._done += 1
        if is_news and not self._is_terminal:
            self._print(f"{outcome} {path}")
        self._draw(path)

    def tell(self, line: str) -> None:
        """Write a line that stays."""
        self._wipe()
        self._print(line)
        self._draw("")

    def end(self) -> None:
        """Take the bar away."""
        self._wipe()
        self._is_terminal = False

    def _draw(self, path: str) -> None:
        if not self._is_terminal or not self._total:
            return
        full = _BAR * self._done // self._total
        bar = f"[{'#' * full}{'.' * (_BAR - full)}] {self._done}/{self._total} "
        room = max(0, shutil.get_terminal_size().columns - len(bar) - 1)
        self._stream.write(f"\r\x1b[K{bar}{printable(path)[:room]}")
        self._stream.flush()

    def _wipe(self) -> None:
        if self._is_terminal:
            self._stream.write("\r\x1b[K")

    def _print(self, line: str) -> None:
        print(printable(line), file=self._stream, flush=True)


def printable(text: str) -> str:
    """Return a text without what would talk to the terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
