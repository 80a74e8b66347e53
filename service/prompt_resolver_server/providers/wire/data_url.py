"""URLs that hold what they name."""

import binascii
from base64 import b64decode
from urllib.parse import unquote_to_bytes

from ...errors import unsupported


def is_data_url(url: str) -> bool:
    """Tell whether a URL holds what it names."""
    return url[:5].lower() == "data:"


def read_data_url(url: str, path: str) -> tuple[str, bytes]:
    """Return the media type of a data URL, empty where it has none, and the bytes.

    Raises PARAMETER_UNSUPPORTED, naming the path.
    """
    head, comma, data = url[5:].partition(",")
    media_type, *settings = head.split(";")
    if not comma:
        raise unsupported(path, "expected a data URL with data")
    content = unquote_to_bytes(data)
    if "base64" not in settings:
        return media_type, content
    try:
        return media_type, b64decode(content, validate=True)
    except binascii.Error:
        raise unsupported(path, "expected a data URL whose data is base64") from None
