"""How a client tells who it is, and whom it trusts: certificates and tokens in files."""

import os
import ssl
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypedDict

import grpc

FilePath: TypeAlias = str | os.PathLike[str]

TOKEN = "PROMPT_RESOLVER_TOKEN"  # noqa: S105  # a variable's name
"""The variable that has the token, for those who are given none."""
TOKEN_FILE = "PROMPT_RESOLVER_TOKEN_FILE"  # noqa: S105  # the same
"""The variable that names a file with the token, which may be replaced while a program runs."""


class TlsOptions(TypedDict, total=False):
    """How to connect securely, by PEM files: a `ca_file` or a certificate has it done."""

    ca_file: FilePath | None
    """The certificates to trust; unset: those that come with gRPC."""
    cert_file: FilePath | None
    """The certificate to show, for a server that asks for one."""
    key_file: FilePath | None
    """The key of that certificate."""
    server_name: str | None
    """The name that the server's certificate has, in place of the address' host."""


class TokenOptions(TypedDict, total=False):
    """How to say who calls."""

    token: str | None
    """The bearer token: the server's master key, or a caller's."""
    token_file: FilePath | None
    """A file that has the token, and is read again when it changes."""


_OPTIONS = {
    "ca_file": ("FILE", "the certificates to trust; turns TLS on"),
    "cert_file": ("FILE", "the certificate to show, for mTLS"),
    "key_file": ("FILE", "the key of that certificate"),
    "server_name": ("NAME", "the name that the server's certificate has, if not the host's"),
}


def read_tls(options: TlsOptions, *, is_secure: bool = False) -> grpc.ChannelCredentials | None:
    """Return the credentials that files make, or None where none is named.

    They are read once: gRPC's Python has no way to replace what a channel has. Raises `ValueError`
    for files that cannot be used, and for a `server_name` that nobody would show, as there is no
    TLS: whoever names it does not mean to send a token for all to read. `is_secure` tells that
    there is TLS in any case.
    """
    ca_file, cert_file = options.get("ca_file"), options.get("cert_file")
    key_file = options.get("key_file")
    if ca_file is None and cert_file is None and key_file is None:
        if options.get("server_name") and not is_secure:
            raise ValueError("server_name: expected a ca_file, too, which turns TLS on")
        return None
    if (cert_file is None) != (key_file is None):
        raise ValueError("expected cert_file and key_file, got one of them")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities = certificate = key = None
    if ca_file is not None:
        authorities = _read(ca_file, "ca_file")
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ValueError):
            raise ValueError(f"ca_file: expected certificates as PEM in {ca_file}") from None
    if cert_file is not None and key_file is not None:
        certificate, key = _read(cert_file, "cert_file"), _read(key_file, "key_file")
        try:
            # Where a key is encrypted, OpenSSL would ask whoever sits at the terminal.
            context.load_cert_chain(cert_file, key_file, password=str)
        except (OSError, ValueError):
            raise ValueError(
                f"expected a certificate in {cert_file} and its key in {key_file}, both as PEM"
            ) from None
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _read(path: FilePath, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name}: expected a readable file, got {path}: {error.strerror}"
        ) from None


class TokenFile:
    """A bearer token in a file, read again whenever the file changes.

    While it cannot be read, the last token stays: a rotation in progress fails no call. Raises
    `ValueError` where there is none to begin with.
    """

    def __init__(self, path: FilePath) -> None:
        self._path = path
        self._token = ""
        self._seen: tuple[int, int, int] | None = None
        if not self.read():
            raise ValueError(f"token_file: expected a token in a readable file, got {path}")

    def read(self) -> str:
        """Return the token, without the white space around it."""
        try:
            status = os.stat(self._path)
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                token = Path(self._path).read_text("ascii").strip()
                self._token = token if token and token.isprintable() else self._token
                self._seen = seen
        except (OSError, UnicodeDecodeError):
            pass
        return self._token


def add_tls_arguments(parser: ArgumentParser) -> None:
    """Add the options of a command that calls a service over TLS."""
    for name, (kind, text) in _OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, metavar=kind, help=f"{text} ({_variable(name)})")


def find_tls_options(given: Mapping[str, str | None] = MappingProxyType({})) -> TlsOptions:
    """Return what options say, or else variables; an empty one is not set."""

    def find(name: str) -> str | None:
        return given.get(name) or os.environ.get(_variable(name)) or None

    return {
        "ca_file": find("ca_file"),
        "cert_file": find("cert_file"),
        "key_file": find("key_file"),
        "server_name": find("server_name"),
    }


def find_token_options() -> TokenOptions:
    """Return what variables say; an empty one is not set. Raises `ValueError` where both are."""
    token, file = os.environ.get(TOKEN), os.environ.get(TOKEN_FILE)
    if token and file:
        raise ValueError(f"expected {TOKEN} or {TOKEN_FILE}, got both")
    return {"token": token or None, "token_file": file or None}


def _variable(name: str) -> str:
    """Return the variable of an option. `PROMPT_RESOLVER_CA_FILE` is a setting of the service."""
    return f"PROMPT_RESOLVER_CLIENT_{name.upper()}"
