"""Certificates of an authority that a test has for itself, as files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme


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

    def issue(self, *names: str) -> Pair:
        """Return a pair for hosts, addresses and URIs."""
        leaf = self._ca.issue_cert(*names)
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        return Pair(chain, leaf.private_key_pem.bytes())

    def write(self, file_name: str, *names: str) -> PairFiles:
        """Issue a pair, and write it into two files of the authority's folder."""
        files = PairFiles(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")
        files.write(self.issue(*names))
        return files


def client_files(authority: Authority, pair: PairFiles | None = None) -> Mapping[str, Path]:
    """Return what a client is told: whom it trusts, and what it shows."""
    if pair is None:
        return {"ca_file": authority.ca_file}
    return {"ca_file": authority.ca_file, "cert_file": pair.cert_file, "key_file": pair.key_file}
