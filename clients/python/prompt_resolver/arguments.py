"""Command line arguments whose faults are told in one line."""

import argparse
import math
import sys
from typing import NoReturn

from typing_extensions import override

USAGE_ERROR = 2
INTERRUPTED = 130

_MAX_SECONDS = 86_400.0


class UsageError(Exception):
    """Arguments that fit the parser and still make no sense: what was expected, and what came."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser that tells a fault in one line and exits with 2."""

    @override
    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and where to find out more."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


def read_seconds(text: str) -> float:
    """Return a time span that an option gives."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds
