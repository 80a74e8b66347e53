"""How our gRPC servers tell who they are, and who calls them."""

from collections.abc import Iterable, Mapping

import grpc

from ..certificates import CertificateKeeper, Certificates

# Where gRPC has the names that are in a peer's certificate.
_NAMES = ("peer_uri", "peer_dns", "x509_common_name")


def server_credentials(keeper: CertificateKeeper) -> grpc.ServerCredentials:
    """Return credentials that are, with each handshake, the certificates of its time."""
    served = keeper.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # In a thread of gRPC's, for each handshake. None: as the last time.
        nonlocal served
        current = keeper.current
        if current is served:
            return None
        served = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served),
        fetch,  # type: ignore[arg-type]  # The stubs know nothing of None.
        require_client_authentication=keeper.is_mutual,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    contents = certificates.contents
    return grpc.ssl_server_certificate_configuration(
        [(contents["key"], contents["cert"])], contents.get("client_ca")
    )


def peer_names(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return the names in the certificate that a peer has shown, from `auth_context()`.

    Its URIs come first, then its DNS names, then its common name.
    """
    found = (name.decode(errors="replace") for key in _NAMES for name in auth_context.get(key, ()))
    # gRPC has an empty common name for a certificate that has none.
    return tuple(dict.fromkeys(name for name in found if name))
