"""A pod without a cluster: the commands of its containers, its volumes and its probes.

What a cluster would do is done here, with the same commands; only paths and addresses are others.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.manifest import Manifest, Object
from tests.support.ports import find_ports
from tests.support.volume import Volume

PATIENCE_S = 30


@dataclass
class Pod:
    """A pod's folder and addresses, in place of those that its containers see.

    `files` are those of volumes whose objects are somebody else's, by where they are mounted.
    """

    manifest: Manifest
    folder: Path
    addresses: Mapping[int, str]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)

    def __post_init__(self) -> None:
        command = self.folder / "bin" / "prompt-resolver"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m prompt_resolver.cli "$@"\n')
        command.chmod(0o755)
        for path in self._mounts:
            source = self.manifest.volume(path)
            if "emptyDir" in source:
                (self.folder / path.lstrip("/")).mkdir()
                continue
            files = self.files.get(path) or (
                self.manifest.files(path) if "configMap" in source else {}
            )
            self.volumes[path] = Volume(
                self.folder / path.lstrip("/"),
                {name: self.place(text) for name, text in files.items()},
            )

    @property
    def _mounts(self) -> list[str]:
        return [mount["mountPath"] for mount in self.manifest.resolver["volumeMounts"]]

    @property
    def grpc_address(self) -> str:
        return self.addresses[50051]

    @property
    def admin_address(self) -> str:
        return self.addresses[9090]

    def place(self, text: str) -> str:
        """Return a text with its paths and addresses being this pod's."""
        text = re.sub(rf"(?<![\w/])({'|'.join(self._mounts)})\b", rf"{self.folder}\1", text)
        for port, address in self.addresses.items():
            text = re.sub(rf"(127\.0\.0\.1|0\.0\.0\.0):{port}\b", address, text)
        return text

    def start(self, command: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a container's command, or one beside it."""
        environment = {k: v for k, v in os.environ.items() if "PROMPT_RESOLVER" not in k}
        placed = {name: self.place(value) for name, value in variables.items()}
        # The addresses that commands have without being told are placed too.
        environment["PROMPT_RESOLVER_ADDRESS"] = self.grpc_address
        environment["PATH"] = f"{self.folder}/bin:{environment['PATH']}"
        return subprocess.Popen(
            [self.place(word) for word in command],
            env={**environment, **placed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def probe(self, name: str) -> tuple[bool, str]:
        """Run a probe of the service once, and return whether it succeeded and what it said."""
        probe = self.manifest.resolver[name]
        if "exec" in probe:
            with self.start(probe["exec"]["command"], {}) as process:
                _, said = process.communicate(timeout=probe["timeoutSeconds"] * 4)
            return process.returncode == 0, said
        ports = {each["name"]: each["containerPort"] for each in self.manifest.resolver["ports"]}
        assert self.addresses[ports[probe["httpGet"]["port"]]] == self.admin_address
        return self.get(probe["httpGet"]["path"])

    def get(self, path: str) -> tuple[bool, str]:
        try:
            with urllib.request.urlopen(f"http://{self.admin_address}{path}", timeout=5) as page:
                return page.status == 200, page.read().decode()
        except OSError as error:
            return False, str(error)

    def wait_for_probe(self, process: subprocess.Popen[str], name: str) -> None:
        """Run a probe until it succeeds."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.probe(name)[0]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline

    @contextmanager
    def running(self, container: Object) -> Iterator[subprocess.Popen[str]]:
        """Run a container, whose entry point is the image's."""
        variables = {each["name"]: each["value"] for each in container.get("env", [])}
        command = [*container.get("command", ["prompt-resolver"]), *container["args"]]
        with self.start(command, variables) as process:
            try:
                yield process
            finally:
                # A container's end is the end of everything in it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def make_pod(
    manifest: Manifest, folder: Path, files: Mapping[str, Mapping[str, str]] | None = None
) -> Pod:
    """Return a pod on free ports."""
    doors = (50051, 4000, 9090)
    addresses = {door: f"127.0.0.1:{port}" for door, port in zip(doors, find_ports(3), strict=True)}
    return Pod(manifest, folder, addresses, files or {})
