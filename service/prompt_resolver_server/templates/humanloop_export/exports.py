"""Which export is served, of those that there are.

A path is an export itself, or holds several in folders that are named by the time when they were
begun. Of several, the newest is served that has all of its files. While a newer one is being
written, or where it was interrupted, the one before stays; where none has all of its files, it is
the newest that has any.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...domain.errors import Reason, StoreError
from ..files import Look, Root, is_folder, look_at
from .index import FILES, ExportIndex, read_index

_log = logging.getLogger(__name__)

_STAMP = re.compile(r"[0-9]{8}-[0-9]{6}")

# All files are looked at no more often than this, whatever is asked for in vain.
_LOOKED_THROUGH_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """An export that is served. `looks` are of what tells that it still is the one to be served."""

    index: ExportIndex
    looks: tuple[Look, ...]


class Exports:
    """The exports below a root. `store` is the store's name, for errors.

    Everything here waits for the disk, so it belongs in a thread, and in one alone. `clock` gives
    monotonic seconds.
    """

    def __init__(
        self, root: Root, *, store: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._store = store
        self._clock = clock
        self._looked_through_at = 0.0
        self._served: Export | None = None
        self._indexes: dict[str, ExportIndex] = {}
        self._passed_over: list[str] = []

    def find(self, *, thorough: bool = False) -> Export:
        """Return the export that is served: the same object for as long as nothing has changed.

        A file that was changed where it stands is noticed by a `thorough` look at all of them.
        Raises STORE_UNAVAILABLE.
        """
        now = self._clock()
        due = thorough and now - self._looked_through_at > _LOOKED_THROUGH_S
        if self._served is None or due or not all(look.holds() for look in self._served.looks):
            self._looked_through_at = now
            found = self._choose()
            if self._served is None or not _is_same(found, self._served):
                self._served = found
        return self._served

    def find_current(self, prompt_id: str) -> Export:
        """Return the export that is served, in which all that an id may mean is as it is now.

        Raises STORE_UNAVAILABLE.
        """
        export = self.find()
        if all(file.is_current for file in export.index.find(prompt_id)):
            return export
        return self.find(thorough=True)

    def _choose(self) -> Export:
        folders = self._folders()
        indexes: dict[str, ExportIndex] = {}
        looks: list[Look] = [look_at(self._root.path)]
        for folder in folders:
            # It tells of the files that are to come.
            looks.append(look_at(folder))
            try:
                index = read_index(self._root, folder, self._indexes.get(folder))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._unreadable(error) from None
            indexes[folder] = index
            looks += index.looks
            if index.is_whole:
                break
        self._indexes = indexes
        chosen = max(indexes, key=lambda folder: _rank(indexes[folder]), default=None)
        if chosen is None:
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._store!r}: expected an export with a folder {FILES!r}, or several in"
                " folders such as 20250701-120000",
                metadata={"store": self._store},
            )
        self._tell_passed_over(folders[: folders.index(chosen)], chosen)
        return Export(indexes[chosen], tuple(looks))

    def _folders(self) -> Sequence[str]:
        """Return the folders that may be exports, the newest first."""
        path = self._root.path
        self._root.find()
        try:
            if is_folder(os.path.join(path, FILES)):
                return [path]
            names = reversed(self._root.names(path))
            stamped = [os.path.join(path, name) for name in names if _STAMP.fullmatch(name)]
            return [folder for folder in stamped if is_folder(folder)]
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> StoreError:
        return StoreError(
            Reason.STORE_UNAVAILABLE,
            f"store {self._store!r}: its export cannot be read: {error.strerror}",
            metadata={"store": self._store},
        )

    def _tell_passed_over(self, folders: Sequence[str], chosen: str) -> None:
        names = [os.path.basename(folder) for folder in folders]
        if names and names != self._passed_over:
            _log.warning(
                "newer exports are not whole, the one before is served",
                extra={
                    "store": self._store,
                    "served": os.path.basename(chosen),
                    "passed_over": names,
                },
            )
        self._passed_over = names


def _rank(index: ExportIndex) -> int:
    """Return how much of an export is there: all of its files, some, or none."""
    return 2 if index.is_whole else int(index.is_begun)


def _is_same(one: Export, other: Export) -> bool:
    return one.looks == other.looks and one.index.files == other.index.files
