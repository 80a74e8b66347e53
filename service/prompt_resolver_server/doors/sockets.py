"""Unix sockets: a path that one process has to itself, with a mode from the first moment on."""

import contextlib
import fcntl
import os
import secrets
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
        self._path = Path(path)
        # Where it is bound, before it is moved to its place.
        self._made = self._path.with_name(f".{secrets.token_hex(2)}")
        if max(len(os.fsencode(each)) for each in (path, self._made)) > _MAX_PATH_BYTES:
            raise OSError(f"a path of more than {_MAX_PATH_BYTES} bytes")
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
    def binding(self, mode: int, owner: Owner = (-1, -1)) -> Iterator[str]:
        """Bind the socket inside of this, to the path that this yields, which is not its own.

        It is moved to its place once it is whose it is to be, so that nobody connects before. And
        gRPC, which removes what it has bound when that is closed, or some time later, finds nothing
        there: by then, the place may be another instance's. Raises `OSError` for an owner to whom
        it may not be given.
        """
        before = os.umask(_OWNER_ALONE)
        try:
            yield str(self._made)
        finally:
            os.umask(before)
        try:
            os.chown(self._made, *owner, follow_symlinks=False)
            self._made.chmod(mode)
            self._bound = _identity(self._made)
            self._made.replace(self._path)
        except OSError:
            self._made.unlink(missing_ok=True)
            raise

    def release(self) -> None:
        """Remove the socket, if it is still ours, and give up the lock."""
        with contextlib.suppress(OSError):
            if self._bound is not None and _identity(self._path) == self._bound:
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


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
