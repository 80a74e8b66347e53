"""The JSON documents of an export, read with proof of what they were."""

from collections.abc import Mapping

from ...domain.parameters import Json
from ..files import Look, Root
from ..formats.answers import AnswerError, read_document, read_json

MAX_BYTES = 1024 * 1024
"""How long a document may be."""


class Reading:
    """Reads documents below a root. `looks` are of all that were read, and `size` is their length.

    Everything waits for the disk, and raises `AnswerError` for what is none of an export's
    documents, `OSError` for what cannot be read, and STORE_UNAVAILABLE where there is no root.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self.looks: list[Look] = []
        self.size = 0

    def document(self, path: str) -> Mapping[str, Json]:
        """Return the object that a document is."""
        return read_document(self._content(path))

    def value(self, path: str) -> Json:
        """Return what a document is."""
        return read_json(self._content(path))

    def names(self, path: str) -> list[str]:
        """Return the names in a folder; none where there is no such folder."""
        try:
            return self._root.names(path)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _content(self, path: str) -> bytes:
        file = self._root.read(path, max_bytes=MAX_BYTES)
        if len(file.content) > MAX_BYTES:
            raise AnswerError((), f"expected at most {MAX_BYTES} bytes")
        self.looks.append(file.look)
        self.size += len(file.content)
        return file.content
