"""Projects of npm's, and the Node package in them."""

import os
import subprocess
from pathlib import Path


def sh(command: str, place: Path, **environ: str) -> str:
    """Run a command to its end, which must be a good one, and return what it says."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=place,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_archive(built: Path, project: Path) -> None:
    """Pack a package that is built, and put what is in the archive into a project.

    What the package depends on is left to the project, which has it by a lock.
    """
    archive = sh(f"npm pack --silent --pack-destination {project}", built).strip()
    installed = project / "node_modules" / "prompt-resolver"
    installed.mkdir()
    sh(f"tar xzf ../../{archive} --strip-components 1", installed)
