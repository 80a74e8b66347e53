"""Command line arguments whose faults are told in one line."""

import argparse
import sys
from typing import NoReturn

from typing_extensions import override

USAGE_ERROR = 2


class ArgumentParser(argparse.ArgumentParser):
    """A parser that tells a fault in one line and exits with 2."""

    @override
    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and where to find out more."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)
