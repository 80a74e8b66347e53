"""Certificates of an authority that a test has for itself, as files."""

import asyncio
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from prompt_resolver.credentials import TlsOptions

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed448.Ed448PrivateKey
    | ed25519.Ed25519PrivateKey
    | rsa.RSAPrivateKey
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class PairFiles:
    """The files of a pair."""

    cert_file: Path
    key_file: Path

    def write(self, pair: Pair) -> None:
        self.cert_file.write_bytes(pair.certificate)
        self.key_file.write_bytes(pair.key)


@dataclass(frozen=True)
class MountedSecret:
    """A folder as Kubernetes mounts a secret: its files are replaced all at once."""

    folder: Path

    def replace(self, **files: bytes) -> None:
        """Have these files in place of those before, as `crt=…` and `key=…` are `tls.crt`."""
        self.folder.mkdir(exist_ok=True)
        version = Path(tempfile.mkdtemp(prefix="..", dir=self.folder))
        for name, content in files.items():
            (version / f"tls.{name}").write_bytes(content)
            if not (link := self.folder / f"tls.{name}").is_symlink():
                link.symlink_to(f"..data/tls.{name}")
        (self.folder / "..next").symlink_to(version.name)
        (self.folder / "..next").rename(self.folder / "..data")


class Authority:
    """Issues certificates; `ca_file` is what those trust who believe it."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca_file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def issue(self, *names: str, **options: Any) -> Pair:
        """Return a pair for hosts and addresses; options are those of `trustme`."""
        leaf = self._ca.issue_cert(*names, **options)
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        return Pair(chain, leaf.private_key_pem.bytes())

    def issue_identity(
        self, uri: str, *hosts: str, common_name: str, key: PrivateKey | None = None
    ) -> Pair:
        """Return a pair whose names begin with a URI, as those of workloads in a mesh do.

        `key` is another than one of ECDSA on P-256.
        """
        signer = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        authority = x509.load_pem_x509_certificate(self.pem)
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        names = [x509.UniformResourceIdentifier(uri), *map(x509.DNSName, hosts)]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(signer, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        return Pair(
            certificate.public_bytes(pem),
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )

    def write(self, file_name: str, *names: str) -> PairFiles:
        """Issue a pair, and write it into two files of the authority's folder."""
        return self.keep(file_name, self.issue(*names))

    def keep(self, file_name: str, pair: Pair) -> PairFiles:
        """Write a pair into two files of the authority's folder."""
        files = PairFiles(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")
        files.write(pair)
        return files


def trust(authority: Authority, pair: PairFiles | None = None) -> ssl.SSLContext:
    """Return how a client knows a server, and what it shows."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    if pair is not None:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    return context


def connection_options(
    authority: Authority, pair: PairFiles | None = None, *, server_name: str | None = None
) -> TlsOptions:
    """Return the same for a client over gRPC, as files."""
    return {
        "ca_file": authority.ca_file,
        "cert_file": pair.cert_file if pair is not None else None,
        "key_file": pair.key_file if pair is not None else None,
        "server_name": server_name,
    }


async def served_certificate(address: str, tls: ssl.SSLContext) -> str:
    """Return the certificate that a door shows whoever connects now, as PEM."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = shown.getpeercert(binary_form=True)
    assert certificate is not None
    writer.transport.abort()
    return ssl.DER_cert_to_PEM_cert(certificate)
