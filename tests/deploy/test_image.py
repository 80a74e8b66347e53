"""The image: what is in it, what is not, and what it may do where it runs.

It is built of the real Dockerfile by the real command, on a stand-in for the image of Python.
"""

import csv
import importlib.metadata
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_resolver._version import __version__
from tests.support.containers import Containers
from tests.support.image import ImageBuilder
from tests.support.manifest import ROOT, Object

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(400)]

COMPILERS = ("as", "c++", "cc", "clang", "cpp", "g++", "gcc", "go", "ld", "make", "rustc", "tcc")
INSTALLERS = ("easy_install", "ensurepip", "pip", "pip3", "setuptools", "uv", "wheel")
SITE = "opt/prompt-resolver/lib/python3.11/site-packages"
LIBRARY = "usr/local/lib/python3.11"
MODULES = (SITE, LIBRARY, f"{LIBRARY}/site-packages")
COMMANDS = ("opt/prompt-resolver/bin", "usr/bin", "usr/local/bin", "usr/local/sbin", "usr/sbin")
# The bytes after a compiled module's magic number: found by a hash that nobody checks.
UNCHECKED = (1).to_bytes(4, "little")


@pytest.fixture(scope="module")
def root(containers: Containers, image: str) -> Iterator[Path]:
    """The image's files."""
    yield Path(containers.podman("image", "mount", image))
    containers.podman("image", "umount", image)


@pytest.fixture(scope="module")
def config(containers: Containers, image: str) -> Object:
    """What the image says of itself."""
    (inspected,) = json.loads(containers.podman("image", "inspect", image))
    found: Object = inspected["Config"]
    return found


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def test_builds_are_the_same(builder: ImageBuilder, image: str) -> None:
    """Another build of the same commit, with another engine, is the same image to the last bit."""
    assert builder.build("buildah", "--no-cache") == image


def test_nothing_is_left_of_building(root: Path) -> None:
    """There is no compiler in it, and nothing that installs from the network; nor a cache."""
    commands = {path.name for folder in COMMANDS for path in (root / folder).iterdir()}
    modules = {path.name for folder in MODULES for path in (root / folder).iterdir()}

    assert {"python3", "prompt-resolver"} <= commands
    assert not commands & {*COMPILERS, *INSTALLERS}
    assert not modules & {*INSTALLERS}
    assert not list((root / "tmp").iterdir())
    assert not (root / "root" / ".cache").exists()
    assert not (root / "src").exists()


def test_nobody_becomes_root(root: Path) -> None:
    """No file makes whoever runs it somebody else."""
    privileged = stat.S_ISUID | stat.S_ISGID

    assert [path for path in files(root) if path.stat().st_mode & privileged] == []


def test_nothing_runs_unasked(root: Path) -> None:
    """Python starts without a hook: there is no `.pth` file, and no `sitecustomize`."""
    hooks = [path for path in files(root) if path.suffix == ".pth" or "customize" in path.name]

    assert [path for path in hooks if path.suffix in (".py", ".pth")] == []


def test_distributions_are_locked(root: Path) -> None:
    """What is installed is what the lock names, in its versions, and this distribution."""
    lock = (ROOT / "requirements" / "server.lock").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    found = {
        each.name.lower().replace("_", "-"): each.version
        for each in importlib.metadata.distributions(path=[str(root / SITE)])
    }

    assert found.pop("prompt-resolver") == __version__
    assert found.items() <= locked.items()
    assert {"grpcio", "pydantic", "uvloop"} <= found.keys()
    assert not list((root / LIBRARY / "site-packages").iterdir())


def test_every_file_is_of_a_distribution(root: Path) -> None:
    """Each file beside those of Python's own was in a wheel whose hash the lock has."""
    site = root / SITE
    recorded = {
        os.path.normpath(site / name)
        for record in site.glob("*.dist-info/RECORD")
        for name, *_ in csv.reader(record.read_text().splitlines())
    }
    strangers = [path for path in files(site) if str(path) not in recorded]
    sources = {
        str(path.parent.parent / path.name.replace(".cpython-311.pyc", ".py")) for path in strangers
    }

    assert sources <= recorded


def test_modules_are_compiled(root: Path) -> None:
    """Each module is compiled, as none can be on a read-only root, and no time is in it."""
    for folder in (root / SITE, root / LIBRARY):
        for module in folder.rglob("*.py"):
            compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
            assert compiled.read_bytes()[4:8] == UNCHECKED, module


def test_says_what_it_is(config: Object) -> None:
    """Its labels tell the version and the commit; its user is nobody, by number."""
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    labels = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in config["Labels"].items()
    }

    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert labels["title"] == "prompt-resolver"
    assert (labels["version"], labels["revision"]) == (__version__, revision)


@dataclass(frozen=True)
class Service:
    """A container that serves, with as little as it needs."""

    containers: Containers
    name: str

    def run(self, *command: str) -> str:
        """Run a command in the container, and return what it printed."""
        return self.containers.podman("exec", self.name, *command)


@pytest.fixture
def service(containers: Containers, image: str) -> Iterator[Service]:
    """The service in a container that may write to `/state` alone."""
    name = "prompt-resolver"
    containers.podman(
        "run",
        "--detach",
        f"--name={name}",
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/state:mode=1777",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--network=none",
        "--memory=512m",
        "--env=PROMPT_RESOLVER_STATE_DIR=/state",
        image,
    )
    containers.wait_until_ready(name)
    yield Service(containers, name)
    containers.podman("rm", "--force", "--time=0", name)


def test_runs_as_nobody(service: Service) -> None:
    """It serves as a user who is nobody, without a capability, and without a network."""
    assert service.run("prompt-resolver", "health") == ""
    rendered = service.run(
        "prompt-resolver", "resolve", "extract/invoice", "--var", "text=Invoice 12"
    )
    status = dict(
        line.split(":\t", 1) for line in service.run("cat", "/proc/1/status").splitlines()
    )

    assert rendered.endswith("Invoice 12")
    assert status["Uid"] == "\t".join(["65532"] * 4)
    assert status["Gid"] == "\t".join(["65532"] * 4)
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_writes_to_its_state_alone(service: Service) -> None:
    """There is no other folder that it could write to, beside the kernel's own."""
    tries = """
import os
for folder, folders, _ in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"dev", "proc", "sys"}
    try:
        os.mkdir(f"{folder}/new")
    except OSError:
        continue
    os.rmdir(f"{folder}/new")
    folders.clear()
    print(folder)
"""

    assert service.run("python", "-c", tries) == "/state"


def test_end(service: Service) -> None:
    """SIGTERM ends it with 0."""
    assert service.containers.end(service.name) == 0
