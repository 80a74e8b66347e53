"""Images and documents in Anthropic's Messages dialect."""

import base64
from urllib.parse import unquote, unquote_to_bytes

from ....errors import unsupported
from ....parameters import Json
from ....prompts import Media

_PDF = "application/pdf"


def write_image(image: Media, path: str) -> dict[str, Json]:
    """Return an image's block. Raises PARAMETER_UNSUPPORTED."""
    return {"type": "image", "source": _source(image, image.media_type, path)}


def write_document(document: Media, path: str) -> dict[str, Json]:
    """Return a PDF's block. Raises PARAMETER_UNSUPPORTED for other documents, too."""
    source = _source(document, document.media_type or _PDF, path)
    if source.get("media_type", document.media_type or _PDF) != _PDF:
        raise unsupported(path, "expected a PDF")
    block: dict[str, Json] = {"type": "document", "source": source}
    if document.filename:
        block["title"] = document.filename
    return block


def _source(media: Media, media_type: str, path: str) -> dict[str, Json]:
    if media.data is not None:
        return _base64(media_type, base64.b64encode(media.data).decode())
    url = media.url or ""
    if url[:5].lower() == "data:":
        return _read_data_url(url, media_type, path)
    return {"type": "url", "url": url}


def _read_data_url(url: str, media_type: str, path: str) -> dict[str, Json]:
    head, comma, data = url[5:].partition(",")
    own_type, *settings = head.split(";")
    if not comma or not (own_type or media_type):
        raise unsupported(path, "expected a data URL with a media type and data")
    if "base64" in settings:
        return _base64(own_type or media_type, unquote(data))
    return _base64(own_type or media_type, base64.b64encode(unquote_to_bytes(data)).decode())


def _base64(media_type: str, data: str) -> dict[str, Json]:
    return {"type": "base64", "media_type": media_type, "data": data}
