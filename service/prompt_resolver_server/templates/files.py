"""Files of a local tree: opened below its root and nowhere else, and known again by their looks.

Links that stay below the root, as Kubernetes makes them for a ConfigMap, are followed. All of this
waits for the disk. One `stat` of a file at hand takes microseconds, so `Look.holds` may be asked
anywhere then, see `is_at_hand`; everything else belongs in a thread.
"""

import errno
import os
import stat
import time
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ..domain.errors import Reason, StoreError

_SETTLED_S = 0.1
# What a path leads to nothing by, names among it that the file system can give to no file. Whatever
# else goes wrong tells nothing of what is there.
_ABSENT = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
)

Signature: TypeAlias = tuple[int, int, int, int, int]


def sign(status: os.stat_result) -> Signature:
    """Return what a file looks like."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def is_settled(status: os.stat_result) -> bool:
    """Tell whether a file's content is the same for as long as it looks the same.

    A file that is written twice within one tick of its clock looks the same both times, so the look
    of a file that has just been written proves nothing.
    """
    return abs(time.time() - status.st_mtime) > _SETTLED_S


def find_status(path: str) -> os.stat_result | None:
    """Return the status of what is at a path; None where nothing is.

    Raises `OSError` where that cannot be told, as in a folder that may not be entered, or on a
    volume that fails: what is there then is not absent.
    """
    try:
        return os.stat(path)
    except ValueError:
        # No file can be of such a name.
        return None
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def is_folder(path: str) -> bool:
    """Tell whether a path leads to a folder. Raises as `find_status` does."""
    status = find_status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


class Look(NamedTuple):
    """What a file or a folder looked like; the signature is there where it proves the content."""

    path: str
    signature: Signature | None

    def holds(self) -> bool:
        """Return whether it certainly looks so still."""
        try:
            return self.signature is not None and sign(os.stat(self.path)) == self.signature
        except OSError:
            return False


def look_at(path: str) -> Look:
    """Return what a file or a folder looks like; of what is not there nothing is proved."""
    try:
        return _look(path, os.stat(path))
    except OSError:
        return Look(path, None)


class LocalFile(NamedTuple):
    """A file that was read, at most as many bytes as were asked for and one more."""

    content: bytes
    modified_at: float
    look: Look


class Root:
    """The root of a store's tree; `store` is the store's name, for errors.

    Paths that are read start with `path`, which may be a link to what the tree is now.
    """

    def __init__(self, path: Path | str, *, store: str) -> None:
        self.path = os.fspath(path)
        self._store = store

    def find(self) -> str:
        """Return where the root is. A volume that is not mounted has nothing to be missed.

        Raises STORE_UNAVAILABLE.
        """
        try:
            root = os.path.realpath(self.path, strict=True)
            os.stat(os.path.join(root, os.curdir))
        except OSError:
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._store!r}: its directory is not there",
                metadata={"store": self._store},
            ) from None
        return root

    def read(self, path: str, *, max_bytes: int) -> LocalFile:
        """Read a file. Raises STORE_UNAVAILABLE where the root is not there, and `OSError`.

        That is `FileNotFoundError` for what is no file, or is outside.
        """
        try:
            descriptor = self._open(path)
        except FileNotFoundError:
            # Kubernetes removes what a volume held before as soon as its links lead to what it
            # holds now. Who was on the way there looks again.
            descriptor = self._open(path)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            # Nobody else would: a folder is no file that `open` would take over.
            os.close(descriptor)
            raise _absent(path)
        with open(descriptor, "rb") as stream:
            content = stream.read(max_bytes + 1)
        return LocalFile(content, status.st_mtime, _look(path, status))

    def names(self, path: str) -> list[str]:
        """Return the names in a folder that begin with no dot, ordered. Raises as `read` does."""
        return sorted(name for name in os.listdir(self._target(path)) if not name.startswith("."))

    def _open(self, path: str) -> int:
        # Not to follow a link that has just taken the file's place, nor to wait for a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(self._target(path), flags)
        except OSError as error:
            if error.errno in _ABSENT:
                raise _absent(path) from None
            raise

    def _target(self, path: str) -> str:
        root = self.find()
        target = os.path.realpath(path, strict=True)
        if os.path.commonpath((root, target)) != root:
            raise _absent(path)
        return target


def _look(path: str, status: os.stat_result) -> Look:
    return Look(path, sign(status) if is_settled(status) else None)


def _absent(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
