"""The image, built by the command that users have, out of wheels that were fetched before."""

import subprocess
import sys
from pathlib import Path

from tests.support.containers import Containers
from tests.support.manifest import ROOT

NAME = "localhost/prompt-resolver"
LOCKS = ("build", "server")
# The stage that installs sees the wheels at a folder that every image has, so none is left in ours.
_WHEELS = "/mnt"
_PIP = f"""
[global]
no-index = true
find-links = {_WHEELS}
"""


class ImageBuilder:
    """Builds the image with the wheels of its locks and without a network."""

    def __init__(self, containers: Containers, folder: Path) -> None:
        self._containers = containers
        self._pip, self._wheels = folder / "pip.conf", folder / "wheels"
        self._pip.write_text(_PIP)
        locks = (f"--requirement={ROOT}/requirements/{lock}.lock" for lock in LOCKS)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", *locks]
            + [f"--dest={self._wheels}"],
            check=True,
            timeout=200,
        )

    def build(self, engine: str, *options: str) -> str:
        """Build the image with an engine, and return its id."""
        self._containers.run(
            "env",
            f"ENGINE={engine}",
            str(ROOT / "deploy" / "build-image"),
            "--pull=never",
            "--layers=false",
            f"--volume={self._wheels}:{_WHEELS}:ro",
            f"--volume={self._pip}:/etc/pip.conf:ro",
            *options,
        )
        return self._containers.podman("image", "inspect", NAME, "--format={{.Id}}")
