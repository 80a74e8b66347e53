"""Images and documents in Anthropic's Messages dialect."""

import base64
import binascii

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media
from ...wire.media import Inline, read_inline

_PDF = "application/pdf"
_IMAGES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})


def write_image(image: Media, path: str) -> dict[str, Json]:
    """Return an image's block. Raises PARAMETER_UNSUPPORTED for a type that the API lacks."""
    inline = read_inline(image, path)
    if inline is not None and inline.media_type not in _IMAGES:
        raise unsupported(path, f"expected one of {', '.join(sorted(_IMAGES))}")
    return {"type": "image", "source": _source(image, inline)}


def write_document(document: Media, path: str) -> dict[str, Json]:
    """Return a document's block: of a PDF, or of a text that is not behind a URL.

    Raises PARAMETER_UNSUPPORTED for others.
    """
    inline = read_inline(document, path, default_type=_PDF)
    media_type = inline.media_type if inline is not None else document.media_type or _PDF
    if media_type == _PDF:
        source = _source(document, inline)
    elif inline is not None and media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _read_text(inline, path)}
    else:
        raise unsupported(path, "expected a PDF, or a text as data")
    block: dict[str, Json] = {"type": "document", "source": source}
    if document.filename:
        block["title"] = document.filename
    return block


def _source(media: Media, inline: Inline | None) -> dict[str, Json]:
    if inline is None:
        return {"type": "url", "url": media.url or ""}
    return {"type": "base64", "media_type": inline.media_type, "data": inline.data}


def _read_text(inline: Inline, path: str) -> str:
    try:
        return base64.b64decode(inline.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise unsupported(path, "expected a text in UTF-8") from None
