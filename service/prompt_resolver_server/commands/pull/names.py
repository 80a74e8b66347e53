"""What files may be called. Stores name their prompts and versions, and we do not trust them.

No name leads out of the directory, hides in it, means another file there, or meets another one on
a disk that does not tell capitals from small letters.
"""

import unicodedata

from ...domain.errors import CallError
from ...templates.directory.layout import (
    DOCUMENT_ENDING,
    ENDING,
    IDS,
    deployments_of,
    versions_of,
)
from ...templates.store import check_path_id

_MAX_NAME_BYTES = 255
_LONGEST_ENDING = len(deployments_of(""))
# What files beside a prompt are called, and folders of its versions.
_NO_FOLDER = (ENDING, DOCUMENT_ENDING, deployments_of(""), versions_of(""))


class NameRefusedError(Exception):
    """A name of a prompt or of a version that no file may have: what was expected."""


def check_path(path: str) -> None:
    """Check the path of a prompt. Raises `NameRefusedError`."""
    try:
        path.encode()
        segments = check_path_id(path, store="directory")
    except UnicodeEncodeError:
        raise NameRefusedError("expected a path of Unicode text") from None
    except CallError as error:
        raise NameRefusedError(error.message.replace("prompt.id", "its path")) from None
    for segment in segments:
        _check_name(segment)
    if segments[-1].startswith("_"):
        raise NameRefusedError("expected a name that does not begin with '_', as partials' do")
    for folder in segments[:-1]:
        if folder.endswith(_NO_FOLDER) or folder == IDS:
            raise NameRefusedError(f"expected no folder whose name is a file's, got {folder!r}")


def check_version(version: str) -> None:
    """Check the name of a version. Raises `NameRefusedError`."""
    try:
        segments = check_path_id(version, store="directory")
        version.encode()
    except (CallError, UnicodeEncodeError):
        segments = ()
    if len(segments) != 1:
        raise NameRefusedError("expected versions whose names are plain")
    _check_name(version)


def fold(name: str) -> str:
    """Return what two names have in common that are one and the same on some disks."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_name(name: str) -> None:
    if name.startswith("."):
        raise NameRefusedError("expected names that do not begin with '.'")
    if len(name.encode()) + _LONGEST_ENDING > _MAX_NAME_BYTES:
        limit = _MAX_NAME_BYTES - _LONGEST_ENDING
        raise NameRefusedError(f"expected names of at most {limit} bytes")
