"""Images, sounds and documents that travel inside of a request."""

import base64
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from ...domain.errors import unsupported
from ...domain.parameters import Json
from ...domain.prompts import Media


class Inline(NamedTuple):
    """What a medium is, and its bytes in base64."""

    media_type: str
    data: str

    @property
    def url(self) -> str:
        """The same as a data URL."""
        return f"data:{self.media_type};base64,{self.data}"


def read_inline(media: Media, path: str, *, default_type: str = "") -> Inline | None:
    """Return a medium whose bytes, or whose data URL, came with the call; None for any other URL.

    Where a data URL names no type, the medium's own or the default is meant. Raises
    PARAMETER_UNSUPPORTED, with `path`, for a data URL that is none.
    """
    media_type = media.media_type or default_type
    if media.data is not None:
        return Inline(media_type, base64.b64encode(media.data).decode())
    url = media.url or ""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    own_type, *settings = head.split(";")
    media_type = own_type or media_type
    if not comma or not media_type:
        raise unsupported(path, "expected a data URL with a media type and data")
    if "base64" in settings:
        return Inline(media_type, unquote(data))
    return Inline(media_type, base64.b64encode(unquote_to_bytes(data)).decode())


def write_image_url(image: Media, path: str) -> dict[str, Json]:
    """Return an image in the form that several APIs have from OpenAI's. Raises as `read_inline`."""
    inline = read_inline(image, path) if image.data is not None else None
    wire: dict[str, Json] = {"url": inline.url if inline is not None else image.url}
    if image.detail:
        wire["detail"] = image.detail
    return {"type": "image_url", "image_url": wire}
