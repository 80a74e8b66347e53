"""The certificates of our own doors, read again whenever their files change.

What cannot be used is not: whatever is half-written, does not belong together or has expired, the
last good ones stay in use. Connections that are open are not touched.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from typing_extensions import override

from .settings.files import look_if_there

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
# A handshake takes three turns of either side.
_TURNS = 5
# By OpenSSL's numbers.
_PROBLEMS = {9: "is not valid yet", 10: "has expired"}

# The kinds of keys that every door and its clients take, as they stand in a certificate: RSA, and
# ECDSA on P-256 and P-384. gRPC's library fails all handshakes with others that OpenSSL takes.
_KINDS_OF_KEYS = (
    bytes.fromhex("06092a864886f70d010101"),
    bytes.fromhex("06082a8648ce3d030107"),
    bytes.fromhex("06052b81040022"),
)

File: TypeAlias = Literal["cert", "key", "client_ca"]


class CertificateError(Exception):
    """Files that cannot be used: the first that is at fault, what was expected, and what came."""

    def __init__(self, file: File, problem: str) -> None:
        super().__init__(problem)
        self.file = file


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The PEM files of a server; `client_ca`: only clients that these vouch for are let in."""

    cert: Path
    key: Path
    client_ca: Path | None

    def signature(self) -> tuple[object, ...]:
        """Return what changes when a file does, or what its path leads to."""
        paths = (self.cert, self.key, self.client_ca)
        return tuple(look_if_there(path) for path in paths if path is not None)

    def read(self) -> Mapping[File, bytes]:
        """Return what is in them. Raises `CertificateError`."""
        contents: dict[File, bytes] = {"cert": _read("cert", self.cert)}
        contents["key"] = _read("key", self.key)
        if self.client_ca is not None:
            contents["client_ca"] = _read("client_ca", self.client_ca)
        return contents


@dataclass(frozen=True, slots=True)
class Certificates:
    """The content of files that belong together and can be used now."""

    contents: Mapping[File, bytes] = field(repr=False)
    context: ssl.SSLContext
    expiries: Mapping[str, float]
    """When the server's certificate, and the first of the clients' authorities, expire, in seconds
    since 1970."""


def read_certificates(files: CertificateFiles) -> Certificates:
    """Return the certificates that are in files. Raises `CertificateError`."""
    contents = files.read()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # OpenSSL would ask whoever sits at the terminal for the password of an encrypted key.
        context.load_cert_chain(files.cert, files.key, password=str)
    except (OSError, ValueError):
        problem = f"expected a certificate in {files.cert} and its key in {files.key}, both as PEM"
        raise CertificateError("cert", problem) from None
    _check_key(contents["cert"], files.cert)
    expiries = {"cert": _try_out(context, files.cert)}
    if files.client_ca is not None:
        expiries["client_ca"] = _trust(context, files.client_ca)
    # OpenSSL and gRPC must have the same ones, and OpenSSL takes files alone.
    if files.read() != contents:
        raise CertificateError("cert", "they are being written")
    return Certificates(contents, context, expiries)


class CertificateKeeper:
    """Keeps the certificates of files, and has those that can be used in use.

    `report` is told after each reading what is in use, and whether the files could be used. Raises
    `CertificateError` where there are none to begin with.
    """

    def __init__(
        self, files: CertificateFiles, report: Callable[[Certificates, bool], None]
    ) -> None:
        self._files = files
        self._report = report
        self._seen = files.signature()
        self._refused: tuple[object, str] | None = None
        self.current = read_certificates(files)
        """The certificates for whoever connects now."""
        report(self.current, True)
        context = _CurrentContext(ssl.PROTOCOL_TLS_SERVER)
        context.keeper = self
        self.context: ssl.SSLContext = context
        """A context with which each handshake has the certificates of its time."""

    @property
    def is_mutual(self) -> bool:
        """Whether clients have to show a certificate."""
        return self._files.client_ca is not None

    async def watch(self) -> None:
        """Look for changes every second, until this is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Read the files if they have changed."""
        seen = await asyncio.to_thread(self._files.signature)
        # Files that could not be used are tried again: a certificate may not have begun yet.
        if seen == self._seen and self._refused is None:
            return
        try:
            found = await asyncio.to_thread(read_certificates, self._files)
        except CertificateError as error:
            self._refuse(seen, str(error))
        else:
            self._accept(seen, found)

    def _accept(self, seen: tuple[object, ...], found: Certificates) -> None:
        is_new = found.contents != self.current.contents
        if is_new or self._refused is not None:
            self.current = found
            self._report(found, True)
            _log.info("certificates are in use")
        self._seen, self._refused = seen, None

    def _refuse(self, seen: tuple[object, ...], problem: str) -> None:
        if self._refused != (seen, problem):
            self._refused = (seen, problem)
            self._report(self.current, False)
            _log.warning(
                "certificates cannot be used; those before stay", extra={"problem": problem}
            )


class _CurrentContext(ssl.SSLContext):
    """A server's context, every connection of which is made by the current one.

    A context that is in use takes new certificates, but forgets none that it has trusted, nor the
    sessions of those whom it would no longer let in.
    """

    keeper: CertificateKeeper

    @override
    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # as it is in `ssl`
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        context = self.keeper.current.context
        return context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _read(file: File, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"expected a readable file, got {path}: {error.strerror}"
        raise CertificateError(file, problem) from None


def _check_key(certificates: bytes, path: Path) -> None:
    """Raise `CertificateError` for a server's certificate whose key gRPC cannot use."""
    end = "-----END CERTIFICATE-----"
    first = certificates.decode("latin-1").partition("-----BEGIN CERTIFICATE-----")[2]
    try:
        der = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{first.partition(end)[0]}{end}")
    except ValueError:
        der = b""
    if not any(kind in der for kind in _KINDS_OF_KEYS):
        problem = f"expected a key of RSA, or of ECDSA on P-256 or P-384, in {path}"
        raise CertificateError("cert", problem)


def _try_out(context: ssl.SSLContext, path: Path) -> float:
    """Have a client that trusts a certificate meet its server; return when that one expires."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        client.load_verify_locations(path)
        certificate = _shake_hands(context, client)
    except ssl.SSLCertVerificationError as error:
        problem = _PROBLEMS.get(error.verify_code, "is none of a server")
        raise CertificateError("cert", f"the certificate in {path} {problem}") from None
    except (OSError, ValueError):
        raise CertificateError("cert", f"the certificate in {path} is none of a server") from None
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))


def _shake_hands(context: ssl.SSLContext, client: ssl.SSLContext) -> Mapping[str, object]:
    """Return the certificate that a client sees. Raises `ValueError` where it comes to none."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = context.wrap_bio(there, back, server_side=True)
    client_side = client.wrap_bio(back, there)
    for _ in range(_TURNS):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_side.getpeercert() or {}


def _trust(context: ssl.SSLContext, path: Path) -> float:
    """Let in those alone for whom authorities vouch; return when the first of these expires."""
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):
        problem = f"expected certificates as PEM in {path}"
        raise CertificateError("client_ca", problem) from None
    context.verify_mode = ssl.CERT_REQUIRED
    expiries = [
        ssl.cert_time_to_seconds(str(authority["notAfter"])) for authority in context.get_ca_certs()
    ]
    if max(expiries, default=0.0) <= time.time():
        problem = f"expected certificates of authorities in {path} that have not expired"
        raise CertificateError("client_ca", problem)
    return min(expiries)
