"""Clients in other languages, built by the documented commands in a copy of the tree."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
# `buf` is one of them.
_TOOLS = ROOT / "requirements" / "dev.lock"
_KEPT = ROOT / "build" / "clients"
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
    """Build a client in a copy, so that nothing is left in the tree.

    What was last built by a command is kept, and copied while the files and the tools of this
    repository are the same, by whomever it was built: parts of the tests that run at once build
    each client once. `make clean` forgets it, as after another Go, JDK or Node was installed.
    """
    _copy_sources(folder, copy)
    client = BuiltClient(copy / "clients" / folder)
    kept = _KEPT / f"{folder}-{hashlib.sha256(build.encode()).hexdigest()[:8]}"
    kept.mkdir(parents=True, exist_ok=True)
    mark, product = kept / "sources", kept / "product"
    fingerprint = _fingerprint(copy)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == fingerprint:
            shutil.rmtree(copy)
            shutil.copytree(product, copy, symlinks=True)
        else:
            done = client.sh(build)
            assert done.returncode == 0, done.stdout + done.stderr
            mark.unlink(missing_ok=True)
            shutil.rmtree(product, ignore_errors=True)
            shutil.copytree(copy, product, symlinks=True)
            mark.write_text(fingerprint)
    return client


def _copy_sources(folder: str, copy: Path) -> None:
    shutil.copy(ROOT / "buf.yaml", copy)
    shutil.copytree(ROOT / "protos", copy / "protos")
    shutil.copytree(CLIENTS / folder, copy / "clients" / folder, ignore=_PRODUCTS)


def _fingerprint(sources: Path) -> str:
    """Return what differs where a file does."""
    digest = hashlib.sha256(_TOOLS.read_bytes())
    for path in sorted(path for path in sources.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(sources)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
