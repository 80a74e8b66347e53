"""What it was measured on, and how large the service is: no names of hosts, users or folders."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import prompt_resolver
import prompt_resolver_server

from .processes import CPUS, ROOT

_LIBRARIES = ("grpcio", "protobuf", "aiohttp", "uvloop", "msgspec", "pydantic")


def describe_machine() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(CPUS),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "load_average": round(os.getloadavg()[0], 2),
    }


def size_on_disk() -> dict[str, float]:
    """Return how much the server extra takes: its locked distributions, and ours."""
    lock = (ROOT / "requirements" / "server.lock").read_text()
    sizes = {}
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE):
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue  # One for another platform.
        sizes[name] = sum(_size(Path(str(file.locate()))) for file in files)
    packages = (prompt_resolver, prompt_resolver_server)
    own = sum(
        _size(file)
        for package in packages
        for folder in package.__path__
        for file in Path(folder).rglob("*")
    )
    return {
        "distributions": len(sizes) + 1,
        "own_mb": own / 1e6,
        "total_mb": (sum(sizes.values()) + own) / 1e6,
    }


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
