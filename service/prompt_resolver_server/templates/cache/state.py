"""The folder in which state outlives a restart: a secret, and copies of templates.

Several processes may share it. Files come about as a whole or not at all, so that nobody reads one
that is half written, whoever dies meanwhile.
"""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SALT_BYTES = 32
_SECRET_BYTES = 64
_MAX_FILE_BYTES = 32 * 1024 * 1024
# Longer than any process takes to write one.
_ABANDONED_S = 60.0
# Each confirmation is written, so what is needed is never left for so long.
_UNUSED_S = 7 * 86_400.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StateError(Exception):
    """A folder that cannot be used. The text tells what was expected."""


class FullDiskError(StateError):
    """A folder that could be used if there were room on its disk."""


class NotOurFileError(Exception):
    """Something that is no plain file of ours, such as a link."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file, its size, and when it was written, in Unix time.

    `is_unused` tells that this is so long ago that no process can be meaning to read it.
    """

    name: str
    size: int
    written_at: float
    is_unused: bool


class StateDir:
    """The folder, opened once at the start. Raises `StateError`, and `FullDiskError` of these.

    One that has become read-only is as good as any to read from.
    `salt` is what callers' keys are hashed with, `secret` what copies are authenticated with.
    """

    def __init__(self, path: Path) -> None:
        self._templates = path / "templates"
        self._temporary = self._templates / f".{os.getpid()}-{secrets.token_hex(8)}"
        try:
            _make_folder(path)
            _make_folder(self._templates)
            _check_own(self._templates)
            secret = _load_secret(path / "secret")
        except OSError as error:
            raise _unusable(error) from None
        self.salt, self.secret = secret[:_SALT_BYTES], secret[_SALT_BYTES:]

    def scan(self) -> Iterator[StateFile]:
        """Return the copies that are there, after removing what a crash has left half written.

        Raises `OSError`.
        """
        now = time.time()
        with os.scandir(self._templates) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if not entry.name.startswith("."):
                        is_unused = now - status.st_mtime > _UNUSED_S
                        yield StateFile(entry.name, status.st_size, status.st_mtime, is_unused)
                    elif abs(now - status.st_mtime) > _ABANDONED_S:
                        with contextlib.suppress(OSError):
                            os.unlink(entry.path)

    def read(self, name: str) -> bytes:
        """Return what is in a copy's file. Raises `OSError` and `NotOurFileError`."""
        path = self._templates / name
        if not stat.S_ISREG(path.lstat().st_mode):
            raise NotOurFileError
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(file, "rb") as stream:
            return stream.read(_MAX_FILE_BYTES)

    def find_time(self, name: str) -> float | None:
        """Return when a copy was written, in Unix time; None if there is none. Raises `OSError`."""
        try:
            return (self._templates / name).lstat().st_mtime
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> float:
        """Put a copy in place of the one before, whole or not at all; return when, in Unix time.

        A folder that somebody has removed is made again. Raises `OSError`.
        """
        try:
            return self._write(name, data)
        except FileNotFoundError:
            _make_folder(self._templates)
            return self._write(name, data)

    def remove(self, name: str) -> bool:
        """Remove a copy, if there is one, and return whether there was. Raises `OSError`."""
        try:
            (self._templates / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def settle(self) -> None:
        """Have the disk know what was written and removed. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError):
            _sync_folder(self._templates)

    def _write(self, name: str, data: bytes) -> float:
        try:
            written_at = _write_new(self._temporary, data)
            self._temporary.replace(self._templates / name)
        except OSError:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            raise
        return written_at


def check_folder(path: Path) -> None:
    """Raise `StateError` for a folder that could not be used, without making anything there."""
    templates = path / "templates"
    try:
        _check_own(templates)
        if not templates.is_dir():
            _check_writable(templates)
        try:
            _read_secret(path / "secret")
        except FileNotFoundError:
            _check_writable(path)
    except OSError as error:
        raise _unusable(error) from None


def _check_own(templates: Path) -> None:
    if templates.is_symlink():
        raise StateError(f"expected a folder that can be written to at {templates}")


def _check_writable(path: Path) -> None:
    """Raise `OSError` where nothing can be made: in a folder, or in the nearest above it."""
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _unusable(error: OSError) -> StateError:
    cause = (error.strerror or "it cannot be used").lower()
    kind = FullDiskError if error.errno in _FULL else StateError
    return kind(f"expected a folder that can be written to: {cause}")


def _make_folder(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)


def _load_secret(path: Path) -> bytes:
    """Return the secret, made anew where there is none. Two who make one get the same."""
    with contextlib.suppress(FileNotFoundError):
        return _read_secret(path)
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        _write_new(made, secrets.token_bytes(_SECRET_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(file, "rb") as stream:
        if stat.S_IMODE(os.fstat(file).st_mode) & stat.S_IRWXO:
            raise StateError(f"expected a file that others cannot read at {path}")
        secret = stream.read(_SECRET_BYTES + 1)
    if len(secret) != _SECRET_BYTES:
        raise StateError(
            f"expected a secret of {_SECRET_BYTES} bytes, or no file, at {path}: once that is"
            " removed, another one is made"
        )
    return secret


def _write_new(path: Path, data: bytes) -> float:
    """Write a file that others must not read, and return when that was, in Unix time."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(file)
        return os.fstat(file).st_mtime


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
