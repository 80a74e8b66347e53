"""Addresses to listen at: `HOST:PORT`, `[IPV6]:PORT` and `unix:/path`."""

import ipaddress
import re
from dataclasses import dataclass

_TCP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s/]+):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """An address; `path` is set for a Unix socket, and the others are not used then."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def parse_address(text: str, *, unix: bool) -> Address:
    """Read an address; `unix` tells whether a Unix socket will do. Raises `ValueError`."""
    if unix and text.startswith("unix:") and len(text) > len("unix:"):
        return Address(path=text.removeprefix("unix:"))
    match = _TCP.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"expected HOST:PORT{' or unix:/path' if unix else ''}")
    return Address(host=match["host"], port=int(match["port"]))
