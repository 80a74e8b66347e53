"""What a process uses of its machine, as the kernel tells it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vitals:
    """Open files, threads, seconds of CPU so far, and resident memory in KiB: now, at its most."""

    files: int
    threads: int
    cpu_s: float
    memory_kib: int
    peak_kib: int


def vitals(pid: int) -> Vitals:
    """Return what a process uses now."""
    proc = Path("/proc") / str(pid)
    lines = (proc / "status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    # The state of the process is the first field after its name, which may have blanks.
    times = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
    return Vitals(
        files=sum(1 for _ in (proc / "fd").iterdir()),
        threads=int(fields["Threads"]),
        cpu_s=sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
        memory_kib=int(fields["VmRSS"].split()[0]),
        peak_kib=int(fields["VmHWM"].split()[0]),
    )


def forget_peak(pid: int) -> None:
    """Begin anew to find the most memory that a process uses."""
    (Path("/proc") / str(pid) / "clear_refs").write_text("5")
