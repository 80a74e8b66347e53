"""What a call reads below a root, all of it of one moment.

A volume of Kubernetes is replaced in one step, but the files of it are opened one after the other.
So what was looked at is looked at once more in the end, what was not there included; where anything
looks otherwise by then, all is read anew.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from ...domain.errors import Reason, ResolverError, StoreError
from ..files import LocalFile, Root, Signature, find_status, is_settled, sign
from ..store import unreadable

# A volume is replaced in a moment; what goes on for longer than this is no replacing.
_PATIENCE_S = 2.0

_Result = TypeVar("_Result")


class Looks(NamedTuple):
    """What files and folders looked like, by their paths, and the paths of what was not there.

    `settled` tells that nothing had just been written, so that whatever looks the same is the same.
    `empty` are the folders that lacked what was not there, as far as they tell that it still is
    not: looking at one of them costs less than looking for all that it lacks.
    """

    there: tuple[tuple[str, Signature], ...]
    absent: tuple[str, ...]
    empty: tuple[tuple[str, Signature], ...] | None
    settled: bool

    def hold(self) -> bool:
        """Return whether everything looks so still."""
        return _look_so(self.there) and (
            (self.empty is not None and _look_so(self.empty)) or _are_absent(self.absent)
        )

    def paths(self) -> Iterator[str]:
        """Return the paths of all that was there, and of the folders that lacked the rest."""
        return (path for path, _ in (*self.there, *(self.empty or ())))

    def prove(self) -> bool:
        """Return whether everything certainly is as it was."""
        return self.settled and self.hold()


NO_LOOKS = Looks(there=(), absent=(), empty=None, settled=False)
"""Those of what was not read to its end. They prove nothing."""


class Reading:
    """Reads files by their names below a root, and remembers what they looked like."""

    def __init__(self, root: Root, *, store: str) -> None:
        self._root = root
        self._store = store
        self._there: list[tuple[str, Signature]] = []
        self._absent: list[str] = []
        # By their paths; none at all once one of them tells nothing.
        self._empty: dict[str, Signature] | None = {}
        self._settled = True

    @property
    def looks(self) -> Looks:
        """What all that was read looked like."""
        empty = tuple(self._empty.items()) if self._empty is not None else None
        return Looks(tuple(self._there), tuple(self._absent), empty, self._settled)

    def read(self, name: str, *, max_bytes: int) -> LocalFile | None:
        """Return a file, or at most one byte more of it than that; None where there is none.

        Raises STORE_UNAVAILABLE for one that cannot be read.
        """
        if not self.note(name):
            return None
        path = self._path(name)
        try:
            file = self._root.read(path, max_bytes=max_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(name, error) from None
        self._settled = self._settled and file.look.signature is not None
        return file

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder, ordered; none where there is no such folder.

        Raises STORE_UNAVAILABLE for one that cannot be read.
        """
        if not self.note(folder):
            return ()
        try:
            return tuple(self._root.names(self._path(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise self._unreadable(folder, error) from None

    def note(self, name: str) -> bool:
        """Remember what is there before it is read, and tell whether anything is.

        Raises STORE_UNAVAILABLE where that cannot be told.
        """
        try:
            return self._note(self._path(name))
        except OSError as error:
            raise self._unreadable(name, error) from None

    def _note(self, path: str) -> bool:
        status = find_status(path)
        if status is None:
            self._note_folder(os.path.dirname(path))
            # It may have come to be just before its folder was looked at.
            status = find_status(path)
        if status is None:
            if os.path.lexists(path):
                # A link to nothing: what it leads to may come to be in any folder.
                self._empty = None
            self._absent.append(path)
            return False
        self._settled = self._settled and is_settled(status)
        self._there.append((path, sign(status)))
        return True

    def _note_folder(self, folder: str) -> None:
        if self._empty is None or folder in self._empty:
            return
        status = find_status(folder)
        if status is None or not is_settled(status):
            self._empty = None
        else:
            self._empty[folder] = sign(status)

    def _unreadable(self, name: str, error: OSError) -> StoreError:
        # Of what may be read again, nothing else need have changed.
        self._settled = False
        return unreadable(f"cannot read {name!r}: {error.strerror}", store=self._store)

    def _path(self, name: str) -> str:
        return os.path.join(self._root.path, name)


class Outcome(NamedTuple, Generic[_Result]):
    """What came of a reading, a failure included, and the looks of all that it depends on."""

    result: _Result | ResolverError
    looks: Looks

    def get(self) -> _Result:
        """Return the result. Raises the failure."""
        if isinstance(self.result, ResolverError):
            # The one at hand is kept, and would keep whoever has it raised.
            raise self.result.again()
        return self.result


def read_at_once(
    root: Root,
    read: Callable[[Reading], _Result],
    *,
    store: str,
    patience_s: float = _PATIENCE_S,
) -> Outcome[_Result]:
    """Return what `read` makes of files that were there at one moment.

    Raises STORE_UNAVAILABLE where they are replaced faster than they are read, for so long.
    """
    until = time.monotonic() + patience_s
    while True:
        root.find()
        reading = Reading(root, store=store)
        try:
            result: _Result | ResolverError = read(reading)
        except ResolverError as error:
            result = error
        looks = reading.looks
        if looks.hold():
            return Outcome(result, looks)
        if time.monotonic() >= until:
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {store!r}: its files are replaced faster than they are read",
                metadata={"store": store},
            )


def _look_so(looks: Iterable[tuple[str, Signature]]) -> bool:
    try:
        for path, signature in looks:
            if sign(os.stat(path)) != signature:
                return False
    except OSError:
        return False
    return True


def _are_absent(paths: Iterable[str]) -> bool:
    try:
        return not any(map(find_status, paths))
    except OSError:
        return False
