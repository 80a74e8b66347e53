"""What protects the doors: none of them is open to everybody by accident."""

from ..certificates import CertificateError, CertificateFiles, read_certificates
from ..settings import ConfigError, Loaded
from ..settings.address import parse_address

_GUARDED = ("http_address", "grpc_address", "admin_grpc_address")


def check_protection(loaded: Loaded) -> None:
    """Raise `ConfigError` for doors that anybody could reach and everybody could use."""
    settings, server = loaded.settings, loaded.settings.server
    with_token = bool(settings.callers) or settings.general_settings.master_key is not None
    if with_token or server.insecure or server.tls_client_ca_file is not None:
        return
    addresses = {key: text for key in _GUARDED if (text := getattr(server, key))}
    faults = [
        loaded.fault(
            ("server", key),
            "expected general_settings.master_key, callers, tls_client_ca_file, or"
            " insecure: true beyond loopback",
        )
        for key, text in addresses.items()
        if not parse_address(text, unix=True).is_local
    ]
    if faults:
        raise ConfigError(*(line for fault in faults for line in fault.lines))


def check_certificates(loaded: Loaded) -> None:
    """Raise `ConfigError` for certificates that could not be used now."""
    files = find_certificates(loaded)
    if files is None or loaded.is_elsewhere:
        return
    try:
        read_certificates(files)
    except CertificateError as error:
        raise bad_certificates(loaded, error) from None


def find_certificates(loaded: Loaded) -> CertificateFiles | None:
    """Return the files of the doors' certificates, or None where they speak without TLS."""
    server, folder = loaded.settings.server, loaded.folder
    if server.tls_cert_file is None or server.tls_key_file is None:
        return None
    ca_file = server.tls_client_ca_file
    return CertificateFiles(
        cert=folder / server.tls_cert_file,
        key=folder / server.tls_key_file,
        client_ca=folder / ca_file if ca_file is not None else None,
    )


def bad_certificates(loaded: Loaded, error: CertificateError) -> ConfigError:
    """Return the fault of certificates that cannot be used."""
    return loaded.fault(("server", f"tls_{error.file}_file"), str(error))
