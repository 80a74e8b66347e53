"""Ports to listen on."""

import random
import socket
from contextlib import suppress


def find_port() -> int:
    """Return a port that is free, and stays so: the server has to come back at the same one.

    It is below those that the kernel gives to whoever asks for any.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def find_ports(count: int) -> list[int]:
    """Return so many of them, each another one."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(find_port())
    return list(ports)
