"""Images, sounds and documents in Bedrock's Converse dialect."""

import re
from collections.abc import Mapping

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, MediaKind
from ...wire.media import read_inline

_FORMATS: Mapping[MediaKind, Mapping[str, str]] = {
    "image": {
        "image/png": "png",
        "image/jpeg": "jpeg",
        "image/jpg": "jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/wave": "wav",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/mp4": "mp4",
        "audio/m4a": "m4a",
        "audio/x-m4a": "m4a",
        "audio/ogg": "ogg",
        "audio/opus": "opus",
        "audio/webm": "webm",
    },
    "file": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
}
_FIELDS: Mapping[MediaKind, str] = {"image": "image", "audio": "audio", "file": "document"}
_MAX_NAME = 200
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z()\[\]-]+")


class MediaWriter:
    """Writes the media of one request, among which no two documents have one name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def write(self, media: Media, path: str) -> dict[str, Json]:
        """Return the block of an image, a sound or a document.

        Raises PARAMETER_UNSUPPORTED for formats that the API does not have, and for URLs of the
        web: it reads none, and neither do we.
        """
        media_type, source = _source(media, path)
        formats = _FORMATS[media.kind]
        form = formats.get(media_type.partition(";")[0].strip().lower())
        if form is None:
            raise unsupported(path, f"expected a media type of {', '.join(formats)}")
        block: dict[str, Json] = {"format": form, "source": source}
        if media.kind == "file":
            block["name"] = self._name(media.filename or "")
        return {_FIELDS[media.kind]: block}

    def _name(self, filename: str) -> str:
        """Return a name that the API takes, which has few characters and no two alike."""
        stem, dot, _ = filename.rpartition(".")
        name = _NOT_IN_NAMES.sub(" ", stem if dot else filename).strip()[:_MAX_NAME].strip()
        chosen = name = name or "document"
        number = 1
        while chosen.lower() in self._names:
            number += 1
            suffix = f" {number}"
            chosen = name[: _MAX_NAME - len(suffix)].strip() + suffix
        self._names.add(chosen.lower())
        return chosen


def _source(media: Media, path: str) -> tuple[str, dict[str, Json]]:
    inline = read_inline(media, path)
    if inline is not None:
        return inline.media_type, {"bytes": inline.data}
    url = media.url or ""
    if url[:5].lower() == "s3://":
        return media.media_type, {"s3Location": {"uri": url}}
    raise unsupported(path, "expected bytes, a data URL or an s3:// URL")
