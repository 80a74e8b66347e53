"""Somebody whom permissions stop, whoever runs the tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user whom permissions stop, as root is not one."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that others may enter, which they may not where tests have their folders."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
