"""Where doors listen: no address is shared."""

import asyncio
import grp
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

from ..assembly.protection import bad_certificates, find_certificates
from ..certificates import CertificateError, CertificateKeeper, Certificates
from ..http.listener import HttpListener
from ..metrics import Metrics
from ..rpc.server import Listener
from ..settings import ConfigError, Loaded
from ..settings.address import Address, parse_address
from .sockets import Owner, SocketFile

# One more would mean that nothing is to change.
_MAX_ID = 2**32 - 2


class Binder:
    """Binds listeners to the addresses of the `server` block, over TLS where that has certificates.

    A Unix socket speaks without TLS: its owner and mode tell who may connect. What this holds goes
    with the stack. A fault names the setting by its key. Made inside of a running event loop;
    raises `ConfigError` for certificates that cannot be used.
    """

    def __init__(self, loaded: Loaded, metrics: Metrics, stack: AsyncExitStack) -> None:
        self._loaded = loaded
        self._settings = loaded.settings.server
        self._metrics = metrics.certificates
        self._stack = stack
        self._certificates = self._read_certificates()
        if self._certificates is not None:
            watching = asyncio.ensure_future(self._certificates.watch())
            stack.callback(watching.cancel)

    def read(self, key: str, *, unix: bool) -> Address | None:
        """Return the address that a setting has, or None where it is empty."""
        text = getattr(self._settings, key)
        return parse_address(text, unix=unix) if text else None

    def bind_grpc(self, key: str, address: Address, listener: Listener) -> Address:
        """Bind a gRPC server, and return where it is. Raises `ConfigError` where that cannot be."""
        try:
            if address.path:
                file = SocketFile(address.path)
                self._stack.callback(file.release)
                with self._giving(file) as place:
                    listener.bind(str(Address(path=place)))
                return address
            # gRPC's own failure is a page of text on standard error.
            _probe(address)
            return Address(address.host, listener.bind(str(address), self._certificates))
        except OSError as error:
            raise self._cannot_listen(key, error) from None

    async def bind_http(
        self, key: str, address: Address, listener: HttpListener, *, plain: bool = False
    ) -> Address:
        """Have an HTTP server listen, and return where. Raises `ConfigError` where it cannot.

        `plain` tells that it speaks without TLS in any case.
        """
        certificates = None if plain else self._certificates
        self._stack.push_async_callback(listener.aclose)
        try:
            port = await listener.start(address.host.strip("[]"), address.port, certificates)
        except OSError as error:
            raise self._cannot_listen(key, error) from None
        return Address(address.host, port)

    @contextmanager
    def _giving(self, file: SocketFile) -> Iterator[str]:
        """Bind a Unix socket inside of this, which is then its owner's."""
        owner, bound = self._find_owner(), False
        try:
            with file.binding(int(self._settings.unix_socket_mode, 8), owner) as place:
                yield place
                bound = True
        except OSError as error:
            raise self._bad_owner(_cause(error)) if bound else error from None

    def _find_owner(self) -> Owner:
        user, _, group = (self._settings.unix_socket_owner or "").partition(":")
        try:
            return (
                _number(user, lambda name: pwd.getpwnam(name).pw_uid),
                _number(group, lambda name: grp.getgrnam(name).gr_gid),
            )
        except KeyError:
            raise self._bad_owner("there is no such user or group") from None

    def _bad_owner(self, cause: str) -> ConfigError:
        problem = f"expected an owner to whom the socket may be given: {cause}"
        return self._loaded.fault(("server", "unix_socket_owner"), problem)

    def _read_certificates(self) -> CertificateKeeper | None:
        files = find_certificates(self._loaded)
        if files is None:
            return None
        # Not by way of this object, which may be gone before the last reading.
        metrics = self._metrics

        def report(used: Certificates, succeeded: bool) -> None:
            metrics.read(used.expiries, succeeded=succeeded)

        try:
            return CertificateKeeper(files, report)
        except CertificateError as error:
            raise bad_certificates(self._loaded, error) from None

    def _cannot_listen(self, key: str, error: OSError) -> ConfigError:
        address = getattr(self._settings, key)
        return self._loaded.fault(
            ("server", key), f"expected a free address, got {address}: {_cause(error)}"
        )


def _probe(address: Address) -> None:
    host = address.host.strip("[]")
    family, kind, protocol, _, target = socket.getaddrinfo(
        host, address.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(target)


def _cause(error: OSError) -> str:
    # A host that is not known has a number of another kind.
    number = error.errno or 0
    return (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()


def _number(account: str, look_up: Callable[[str], int]) -> int:
    """Return the number of a user or a group, who may be told by it; -1 for none."""
    if not account:
        return -1
    if not account.isdecimal():
        return look_up(account)
    if int(account) > _MAX_ID:
        raise KeyError(account)
    return int(account)
