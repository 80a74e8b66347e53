"""Who is at the other end of an HTTP connection."""

from collections.abc import Mapping
from typing import Any


def peer_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the names in the certificate that a peer has shown, from the transport's `peercert`.

    Its URIs come first, then its DNS names, then its common name.
    """
    if not certificate:
        return ()
    alternatives = certificate.get("subjectAltName", ())
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    found = (
        *(name for kind, name in alternatives if kind == "URI"),
        *(name for kind, name in alternatives if kind == "DNS"),
        *(name for kind, name in subject if kind == "commonName"),
    )
    return tuple(dict.fromkeys(name for name in found if name))
