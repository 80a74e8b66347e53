"""The metrics of the certificates that our own doors have."""

from collections.abc import Mapping

from .families import Families


class CertificateMetrics:
    """What is known of certificates, which are absent where doors have none."""

    def __init__(self, families: Families) -> None:
        self._expiries = families.gauge(
            "prompt_resolver_certificate_expiry_timestamp_seconds",
            "When the certificates in use expire, in seconds since 1970.",
            ("file",),
        )
        self._successful = families.gauge(
            "prompt_resolver_certificate_last_reload_successful",
            "Whether the certificates in use are those in the files: 1 yes, 0 no.",
            (),
        )
        self._reloads = families.counter(
            "prompt_resolver_certificate_reloads",
            "Changes of the certificates' files, by whether what is in them could be used.",
            ("outcome",),
        )

    def read(self, expiries: Mapping[str, float], *, succeeded: bool) -> None:
        """Count a reading of the files, and note when the certificates in use expire."""
        for file, expiry in expiries.items():
            self._expiries[file,].value = expiry
        self._successful[()].value = float(succeeded)
        self._reloads["ok" if succeeded else "failed",].value += 1
