"""Unix sockets: a path that one process has to itself, with a mode from the first moment on."""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Owner: TypeAlias = tuple[int, int]
"""A user and a group, by their numbers; -1: as it is."""

# What fits into a socket's address, on every system.
_MAX_PATH_BYTES = 103
_OWNER_ALONE = 0o177
_PROBE_S = 1.0


class SocketFile:
    """The path of a Unix socket, claimed for this process until `release`.

    A lock beside it tells a socket that is in use from one that a crash has left behind: binding
    alone would take the path from whoever serves there, without a word to either. The lock's file
    stays, as whoever removed it could remove the next one's.
    """

    def __init__(self, path: str) -> None:
        """Claim a path. Raises `OSError` where it cannot be had, with the cause as its text."""
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise OSError(f"a path of more than {_MAX_PATH_BYTES} bytes")
        self._path = Path(path)
        self._bound: tuple[int, int] | None = None
        self._lock = os.open(
            f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            self._take()
        except OSError:
            os.close(self._lock)
            raise

    @contextlib.contextmanager
    def binding(self, mode: int, owner: Owner = (-1, -1)) -> Iterator[None]:
        """Bind the socket inside of this. Until it has its mode, it is its owner's alone.

        Raises `OSError` for an owner to whom it may not be given.
        """
        before = os.umask(_OWNER_ALONE)
        try:
            yield
        finally:
            os.umask(before)
        self._bound = self._identity()
        os.chown(self._path, *owner, follow_symlinks=False)
        self._path.chmod(mode)

    def release(self) -> None:
        """Remove the socket, if it is still ours, and give up the lock."""
        with contextlib.suppress(OSError):
            if self._bound is not None and self._identity() == self._bound:
                self._path.unlink()
        os.close(self._lock)

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another instance listens there") from None
        try:
            kind = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(kind):
            raise OSError("something is there that is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PROBE_S)
            with contextlib.suppress(ConnectionRefusedError):
                probe.connect(str(self._path))
                raise OSError("another program listens there")
        self._path.unlink()

    def _identity(self) -> tuple[int, int]:
        status = self._path.lstat()
        return status.st_dev, status.st_ino
