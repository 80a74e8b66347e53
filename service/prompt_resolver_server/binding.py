"""Where doors listen: no address is shared, and none is open to everybody by accident."""

import os
import socket
from contextlib import AsyncExitStack

from .http.listener import HttpListener
from .rpc.server import Listener
from .settings import ConfigError, Loaded
from .settings.address import Address, parse_address
from .sockets import SocketFile


class Binder:
    """Binds listeners to the addresses of the `server` block. What it holds goes with the stack.

    A fault names the setting by its key.
    """

    def __init__(self, loaded: Loaded, stack: AsyncExitStack) -> None:
        self._loaded = loaded
        self._settings = loaded.settings.server
        self._stack = stack

    def read(self, key: str, *, unix: bool) -> Address | None:
        """Return the address that a setting has, or None where it is empty."""
        text = getattr(self._settings, key)
        return parse_address(text, unix=unix) if text else None

    def check_protection(self, key: str, address: Address) -> None:
        """Raise `ConfigError` for a door that anybody could reach and everybody could use."""
        settings = self._loaded.settings
        protected = bool(settings.callers) or settings.general_settings.master_key is not None
        if not (address.is_local or protected or settings.server.insecure):
            raise self._loaded.fault(
                ("server", key),
                "expected general_settings.master_key, callers, or insecure: true beyond loopback",
            )

    def bind_grpc(self, key: str, address: Address, listener: Listener) -> Address:
        """Bind a gRPC server, and return where it is. Raises `ConfigError` where that cannot be."""
        try:
            if address.path:
                file = SocketFile(address.path)
                self._stack.callback(file.release)
                with file.binding(int(self._settings.unix_socket_mode, 8)):
                    listener.bind(str(address))
                return address
            # gRPC's own failure is a page of text on standard error.
            _probe(address)
            return Address(address.host, listener.bind(str(address)))
        except OSError as error:
            raise self._cannot_listen(key, error) from None

    async def bind_http(self, key: str, address: Address, listener: HttpListener) -> Address:
        """Have an HTTP server listen, and return where. Raises `ConfigError` where it cannot."""
        self._stack.push_async_callback(listener.aclose)
        try:
            port = await listener.start(address.host.strip("[]"), address.port)
        except OSError as error:
            raise self._cannot_listen(key, error) from None
        return Address(address.host, port)

    def _cannot_listen(self, key: str, error: OSError) -> ConfigError:
        address = getattr(self._settings, key)
        # A host that is not known has a number of another kind.
        number = error.errno or 0
        cause = (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()
        return self._loaded.fault(
            ("server", key), f"expected a free address, got {address}: {cause}"
        )


def _probe(address: Address) -> None:
    host = address.host.strip("[]")
    family, kind, protocol, _, target = socket.getaddrinfo(
        host, address.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(target)
