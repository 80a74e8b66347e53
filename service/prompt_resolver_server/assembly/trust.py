"""Whom outgoing calls trust."""

import ssl
from dataclasses import dataclass, field

from ..settings import ConfigError, Loaded


@dataclass(frozen=True, slots=True)
class Trust:
    """The context of outgoing calls, and the certificates that it was made with, if any were set.

    While these are the same, it is the same context, so that connections may be kept.
    """

    tls: ssl.SSLContext
    certificates: bytes | None = field(repr=False)


def build_trust(loaded: Loaded, *, before: Trust | None = None) -> Trust:
    """Return whom a configuration trusts, which may be as `before`. Raises `ConfigError`."""
    certificates = None
    if (ca_file := loaded.settings.server.ca_file) is not None:
        try:
            certificates = (loaded.folder / ca_file).read_bytes()
        except OSError:
            raise _unreadable(loaded) from None
    if before is not None and before.certificates == certificates:
        return before
    return Trust(build_tls(loaded), certificates)


def build_tls(loaded: Loaded) -> ssl.SSLContext:
    """Return how outgoing calls know whom they talk to. Raises `ConfigError`."""
    ca_file = None if loaded.is_elsewhere else loaded.settings.server.ca_file
    try:
        return ssl.create_default_context(cafile=loaded.folder / ca_file if ca_file else None)
    except OSError:
        raise _unreadable(loaded) from None


def _unreadable(loaded: Loaded) -> ConfigError:
    return loaded.fault(("server", "ca_file"), "expected a readable file of certificates")
