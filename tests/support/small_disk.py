"""A disk that is soon full."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, require_all: bool) -> Iterator[Callable[[str], object]]:
    """Have a folder be a small disk of its own, which may be mounted again with other options."""
    folder.mkdir(parents=True)

    def mount(options: str) -> int:
        told = ["mount", "-t", "tmpfs", "-o", f"size=128k,{options}", "tmpfs", str(folder)]
        return subprocess.run(told, check=False, capture_output=True).returncode

    if mount("rw"):
        assert not require_all, "nothing may be mounted here"
        pytest.skip("nothing may be mounted here")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_disk(folder: Path) -> Path:
    """Leave no room on a small disk; return the file that takes it."""
    ballast = folder / "ballast"
    ballast.write_bytes(b"")
    with contextlib.suppress(OSError), ballast.open("wb", 0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast
