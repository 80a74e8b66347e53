"""Images and containers of their own for a test: buildah and podman, with a storage below a folder.

No daemon is asked, and nothing of the machine's own images is touched.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

COMMANDS = ("buildah", "podman", "runc", "mmdebstrap")
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
# Limits are lowered and the runtime is named for machines where containers run in a container.
_CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = ""
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/tmp"
"""


class Containers:
    """Runs buildah and podman. `environ` is what has them use this storage."""

    def __init__(self, folder: Path) -> None:
        self.environ = os.environ | {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }
        (folder / "containers.conf").write_text(_CONTAINERS.format(folder=folder))
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command to its end, which has to be a good one, and return what it printed."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    @contextmanager
    def follow(self, container: str) -> Iterator[IO[str]]:
        """Read what a container prints on standard output, from its first line on."""
        with subprocess.Popen(
            ["podman", "logs", "--follow", container],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as log:
            assert log.stdout is not None
            try:
                yield log.stdout
            finally:
                log.kill()

    def wait_until_ready(self, container: str) -> None:
        """Wait until the service in a container says that it is ready."""
        with self.follow(container) as log:
            assert any(line.startswith("ready ") for line in log), f"{container} has ended"

    def end(self, container: str) -> int:
        """End what runs in a container as a cluster does, and return its exit code."""
        self.podman("stop", "--time=60", container)
        return int(self.podman("inspect", container, "--format={{.State.ExitCode}}"))

    def buildah(self, *arguments: str) -> str:
        return self.run("buildah", *arguments)

    def podman(self, *arguments: str) -> str:
        return self.run("podman", *arguments)

    def remove_all(self) -> None:
        """End what runs, and remove all containers and images."""
        self.podman("pod", "rm", "--all", "--force")
        self.podman("rm", "--all", "--force", "--time", "0")
        self.buildah("rm", "--all")
        self.podman("rmi", "--all", "--force")


def missing_commands() -> list[str]:
    return [command for command in COMMANDS if shutil.which(command) is None]
