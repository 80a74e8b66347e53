"""The directory that a pull writes to: one at a time, a prompt at a time, and no file but its own.

A prompt's files are put beside the tree first, and moved to their places once all of them are
there. A file that no pull has written, or that somebody has edited since, is left as it is, and
told.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from prompt_resolver.arguments import UsageError

from .journal import Journal
from .layout import alternatives

_STAGE = ".pull.stage"


class ConflictError(Exception):
    """A file that is in the way: which one, and why it is not ours to replace."""


class Plan(NamedTuple):
    """What has to be done for a prompt: files to be written, and earlier ones to be removed."""

    files: Mapping[str, bytes]
    changed: tuple[str, ...]
    obsolete: tuple[str, ...]

    @property
    def has_work(self) -> bool:
        """Whether anything has to be done."""
        return bool(self.changed or self.obsolete)

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of each file, whether it has to be written or is there."""
        return {path: sha256_of(content) for path, content in self.files.items()}


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Make a directory and keep all other pulls from it. Raises `UsageError`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{root}: expected a directory: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"{root}: another pull writes to it") from None
    finally:
        os.close(descriptor)


class Tree:
    """The directory `root`. `force` has it replace what is in the way."""

    def __init__(self, root: Path, journal: Journal, *, force: bool) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._journal = journal
        self._force = force
        self.stage = root / _STAGE
        """Where files wait for their places."""
        self.clear()

    def clear(self) -> None:
        """Remove what waits, of this run or of one that was torn."""
        if self.stage.is_symlink():
            raise UsageError(f"{self.stage}: expected no link")
        with suppress(FileNotFoundError):
            shutil.rmtree(self.stage)

    def plan(self, files: Mapping[str, bytes], earlier: Iterable[str]) -> Plan:
        """Return what has to be done to have these files in place of the `earlier` ones.

        Raises `ConflictError`.
        """
        changed = []
        for path, content in files.items():
            found = self._read(path)
            if found == content:
                continue
            if found is not None:
                self._check_known(path, found)
            changed.append(path)
        obsolete = dict.fromkeys(path for path in earlier if path not in files)
        for path in files:
            obsolete |= dict.fromkeys(each for each in alternatives(path) if each not in files)
        there = []
        for path in obsolete:
            if self._is_there(path):
                self._check_known(path, self._read(path))
                there.append(path)
        return Plan(files, tuple(changed), tuple(there))

    def prepare(self, plan: Plan) -> None:
        """Write the files beside the tree. What is remembered of them comes first."""
        self._journal.begin_writing(plan.hashes)
        for path, content in plan.files.items():
            waiting = self.stage / path
            waiting.parent.mkdir(parents=True, exist_ok=True)
            with waiting.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())

    def commit(self, plan: Plan) -> None:
        """Move the files to their places, and remove those that are obsolete."""
        for path in plan.changed:
            self._move(path)
        for path in plan.obsolete:
            self._remove(path)

    def holds(self, files: Mapping[str, str]) -> bool:
        """Tell whether files are there with these hashes."""
        try:
            found = {path: self._read(path) for path in files}
        except ConflictError:
            return False
        return all(
            content is not None and sha256_of(content) == files[path]
            for path, content in found.items()
        )

    def _move(self, path: str) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.stage / path, target)

    def _remove(self, path: str) -> None:
        target = self._root / path
        target.unlink()
        with suppress(OSError):
            # It may have been the last of a prompt's versions.
            target.parent.rmdir()

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(self._root / path)

    def _read(self, path: str) -> bytes | None:
        """Return a file's content; None where nothing is there. Raises `ConflictError`."""
        target = self._root / path
        folder = os.path.realpath(target.parent)
        if os.path.commonpath((self._real_root, folder)) != self._real_root:
            raise ConflictError(f"{path}: a link leads out of the directory")
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConflictError(f"{path}: expected a file: {error.strerror}") from None

    def _check_known(self, path: str, content: bytes | None) -> None:
        known = content is not None and self._journal.is_known(path, sha256_of(content))
        if not known and not self._force:
            raise ConflictError(f"{path}: has been written or edited by somebody else")


def sha256_of(content: bytes) -> str:
    """Return the hash of a file's content."""
    return hashlib.sha256(content).hexdigest()
