"""What a process uses of its machine, as the kernel tells it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vitals:
    """Open files, threads, and resident memory in KiB: now, and at its most."""

    files: int
    threads: int
    memory_kib: int
    peak_kib: int


def vitals(pid: int) -> Vitals:
    """Return what a process uses now."""
    proc = Path("/proc") / str(pid)
    lines = (proc / "status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return Vitals(
        files=sum(1 for _ in (proc / "fd").iterdir()),
        threads=int(fields["Threads"]),
        memory_kib=int(fields["VmRSS"].split()[0]),
        peak_kib=int(fields["VmHWM"].split()[0]),
    )


def forget_peak(pid: int) -> None:
    """Begin anew to find the most memory that a process uses."""
    (Path("/proc") / str(pid) / "clear_refs").write_text("5")
