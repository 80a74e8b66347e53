"""Where the service is, for those who are not told."""

import ipaddress
import os

ADDRESS = "PROMPT_RESOLVER_ADDRESS"
"""The variable that tells where the service is."""

DEFAULT_ADDRESS = "127.0.0.1:50051"

_URLS = ("http://", "https://")


def find_address(given: str | None) -> str:
    """Return the address that was given, else `PROMPT_RESOLVER_ADDRESS`, else the default.

    Raises `ValueError` for a URL, whose scheme gRPC would take for a name to look up, for ever.
    """
    address = given or os.environ.get(ADDRESS) or DEFAULT_ADDRESS
    if address.lower().startswith(_URLS):
        place = "address" if given else ADDRESS
        raise ValueError(f"{place}: expected HOST:PORT without http:// or https://")
    return address


def is_beside(address: str) -> bool:
    """Tell whether a service is on this machine: behind a socket, or on loopback."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    target = address.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:")
    host = target.rpartition(":")[0].strip("[]") or target
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
