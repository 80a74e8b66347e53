"""A worker: takes jobs from its standard input, which is a socket, and answers them there.

It ends when the other end is closed, or when the process that started it is gone.
"""

import os
import resource
import select
import socket
import sys

from .jobs import Jobs
from .protocol import HEADER, READY

_LOOK_UP_S = 10.0
"""How often an idle worker looks whether it is still wanted: a fork may hold the other end open."""


def main(memory_bytes: int, cpu_s: int) -> None:
    """Work within these limits: all memory that there may be, and the seconds of one job."""
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        # Nothing that a template prints gets into a reply.
        os.dup2(nowhere, number)
    _import_languages()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    jobs = Jobs()
    _send(channel, READY)
    while (frame := _receive(channel)) is not None:
        _limit_cpu(cpu_s)
        # What runs out of memory does not answer: it ends, and a new worker takes over.
        _send(channel, jobs.answer(frame))


def _import_languages() -> None:
    # A job's time is the template's.
    from . import schema  # noqa: F401, PLC0415
    from .handlebars import template as handlebars  # noqa: F401, PLC0415
    from .jinja import template as jinja  # noqa: PLC0415

    jinja.JinjaTemplate(("{{ warm }}",))


def _limit_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _receive(channel: socket.socket) -> bytes | None:
    parent = os.getppid()
    while not select.select([channel], [], [], _LOOK_UP_S)[0]:
        if os.getppid() != parent:
            return None
    head = _receive_exactly(channel, HEADER.size)
    return _receive_exactly(channel, HEADER.unpack(head)[0]) if head else None


def _receive_exactly(channel: socket.socket, size: int) -> bytes:
    """Return so many bytes, or none at all where the other end is closed."""
    received = bytearray()
    while len(received) < size:
        data = channel.recv(min(size - len(received), 1 << 20))
        if not data:
            return b""
        received += data
    return bytes(received)


def _send(channel: socket.socket, frame: bytes) -> None:
    channel.sendall(HEADER.pack(len(frame)) + frame)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except (OSError, MemoryError):
        # The other end is gone, or there is no memory left to tell of it.
        os._exit(1)
