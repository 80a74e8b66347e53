"""A stand-in for the image of Python that ours is built on, where no registry of images is reached.

It has the official image's name, its distribution and its layout. But its Python is the one that
runs the tests, so what rests on the official one's very files is not shown by it.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.support.containers import Containers

NAME = "docker.io/library/python:3.11-slim-bookworm"
_RELEASE = "bookworm"
_PACKAGES = (
    "ca-certificates",
    "libbz2-1.0",
    "libffi8",
    "liblzma5",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "netbase",
    "tzdata",
    "zlib1g",
)
# As Debian's own slim images leave them out.
_LEFT_OUT = ("doc", "info", "locale", "man")
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def build_python_image(containers: Containers, folder: Path) -> None:
    """Build the stand-in. The packages come from where the machine's own come from."""
    debian, python = folder / "debian.tar", folder / "python.tar"
    containers.run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(_PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT),
        _RELEASE,
        str(debian),
        _find_mirror(),
    )
    _pack_python(python)
    container = containers.buildah("from", "scratch")
    containers.buildah("add", "--quiet", container, str(debian), "/")
    containers.buildah("add", "--quiet", container, str(python), "/usr/local")
    containers.buildah(
        "config", f"--env=PATH={_PATH}", "--env=LANG=C.UTF-8", "--cmd=python3", container
    )
    containers.buildah("run", container, "--", "ldconfig")
    containers.buildah("run", container, "--", "python3", "-B", "-m", "ensurepip", "--default-pip")
    containers.buildah("commit", "--quiet", "--rm", container, NAME)


def _find_mirror() -> str:
    found = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format=$(REPO_URI)",
            "Created-By: Packages",
            f"Release: {_RELEASE}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found, f"apt knows no mirror of {_RELEASE}"
    return found[0]


def _pack_python(archive: Path) -> None:
    """Pack the interpreter that runs the tests, without what was installed into it."""
    version = sysconfig.get_python_version()
    assert version == "3.11", f"expected Python 3.11, got {version}"
    prefix = Path(sys.base_prefix)
    files = [*prefix.glob("bin/python*"), *prefix.glob("lib/libpython*.so*")]
    subprocess.run(
        [
            "tar",
            "--create",
            f"--file={archive}",
            f"--directory={prefix}",
            "--owner=0",
            "--group=0",
            "--exclude=*.a",
            "--exclude=__pycache__",
            "--exclude=lib/python3.11/site-packages/*",
            "--exclude=lib/python3.11/test",
            *(str(each.relative_to(prefix)) for each in files),
            "lib/python3.11",
        ],
        check=True,
    )
