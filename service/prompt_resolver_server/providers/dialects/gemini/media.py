"""Images, sounds and documents in Google's Gemini dialect."""

import base64
from mimetypes import MimeTypes

from ....errors import unsupported
from ....parameters import Json
from ....prompts import Media
from ...wire.data_url import is_data_url, read_data_url

_TYPES = MimeTypes()
"""Python's own table, and not the machine's."""


def write_media(media: Media, path: str) -> dict[str, Json]:
    """Return the part of an image, a sound or a document. Raises PARAMETER_UNSUPPORTED."""
    if media.data is not None:
        return _inline(media.media_type, media.data, path)
    url = media.url or ""
    if is_data_url(url):
        media_type, data = read_data_url(url, path)
        return _inline(media_type or media.media_type, data, path)
    file: dict[str, Json] = {"fileUri": url}
    known = media.media_type or _guess(url)
    if known:
        file["mimeType"] = known
    return {"fileData": file}


def _guess(url: str) -> str | None:
    """Return the media type that the end of a URL's path tells, if it does."""
    return _TYPES.guess_type(url.partition("#")[0].partition("?")[0])[0]


def _inline(media_type: str, data: bytes, path: str) -> dict[str, Json]:
    if not media_type:
        raise unsupported(path, "expected a media type")
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}}
