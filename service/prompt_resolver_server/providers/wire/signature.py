"""What providers signed or sealed, which goes back to them to the letter."""

from ...domain.errors import unsupported


def read_signature(sealed: bytes, path: str) -> str:
    """Return a signature, or what is sealed, as the wire has it. Raises PARAMETER_UNSUPPORTED."""
    try:
        return sealed.decode()
    except UnicodeDecodeError:
        raise unsupported(path, "expected it as the provider sent it") from None
