"""Clients in other languages, built by the documented commands in a copy of the tree."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
# What somebody built in the tree would hide that the commands do not build it.
_PRODUCTS = shutil.ignore_patterns(
    "node_modules", "generated", "target", "build", "dist", "__pycache__"
)


@dataclass(frozen=True)
class BuiltClient:
    """The folder of a client that is built."""

    place: Path

    def sh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in there, to its end."""
        # `buf` is installed beside the Python that runs the tests.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.place,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
        )


def build_in_copy(folder: str, build: str, copy: Path) -> BuiltClient:
    """Build a client in a copy, so that nothing is left in the tree."""
    shutil.copy(ROOT / "buf.yaml", copy)
    shutil.copytree(ROOT / "protos", copy / "protos")
    client = BuiltClient(copy / "clients" / folder)
    shutil.copytree(CLIENTS / folder, client.place, ignore=_PRODUCTS)
    done = client.sh(build)
    assert done.returncode == 0, done.stdout + done.stderr
    return client
