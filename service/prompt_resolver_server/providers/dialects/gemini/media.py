"""Images, sounds and documents in Google's Gemini dialect."""

from mimetypes import MimeTypes

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media
from ...wire.media import read_inline

_TYPES = MimeTypes()
"""Python's own table, and not the machine's."""


def write_media(media: Media, path: str) -> dict[str, Json]:
    """Return the part of an image, a sound or a document. Raises PARAMETER_UNSUPPORTED."""
    inline = read_inline(media, path)
    if inline is not None:
        if not inline.media_type:
            raise unsupported(path, "expected a media type")
        return {"inlineData": {"mimeType": inline.media_type, "data": inline.data}}
    url = media.url or ""
    file: dict[str, Json] = {"fileUri": url}
    known = media.media_type or _guess(url)
    if known:
        file["mimeType"] = known
    return {"fileData": file}


def _guess(url: str) -> str | None:
    """Return the media type that the end of a URL's path tells, if it does."""
    return _TYPES.guess_type(url.partition("#")[0].partition("?")[0])[0]
