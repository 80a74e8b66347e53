"""The files of copies in a folder that several processes may share.

A process removes what it wrote itself, and what it found room for at the start, as it may have
written that in a life before. All else may be what another process will need: that is left, until
nobody has written it for so long that nobody can be meaning to read it.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from .entries import Key
from .envelope import BrokenCopyError, Copy, ForeignCopyError, is_callers, name_of, seal, unseal
from .state import NotOurFileError, StateDir

# Whoever they are of, there are no more in a folder than this by the time that a process has
# started: as many as ten services have by default.
_MOST_FILES: Final = 100_000
_MOST_BYTES: Final = 1024 * 1024 * 1024


class _File(NamedTuple):
    """A file of ours: its size, the store that it is of, and when it was written."""

    size: int
    store: str
    written_at: float


class CopyFiles:
    """The files, for one thread, which may wait for the disk.

    `places` has the digest of each store's place. Of ours there are `max_entries` at most, of
    `max_bytes` together: those go that were written longest ago, callers' before the service's own.
    """

    def __init__(
        self, state: StateDir, places: Mapping[str, str], *, max_entries: int, max_bytes: int
    ) -> None:
        self.places = places
        self._state = state
        self.limit(max_entries, max_bytes)
        # By name, the one first that was written longest ago.
        self._own: OrderedDict[str, _File] = OrderedDict()
        self._callers: OrderedDict[str, _File] = OrderedDict()
        self._bytes = 0
        self._others: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Tell whether there may be such a file. Any thread may ask."""
        return name in self._of_kind(name) or name in self._others

    def limit(self, max_entries: int, max_bytes: int) -> None:
        """Keep at most so many, of so many bytes, from the next one on that is written."""
        self._max_entries, self._max_bytes = max_entries, max_bytes

    def name(self, key: Key) -> str | None:
        """Return the name of a key's file; None where copies of its store are not kept.

        Any thread may ask. Raises `ValueError` for a key that has no name.
        """
        place = self.places.get(key.store)
        return None if place is None else name_of(key, place, self._state.secret)

    def read_all(self) -> Iterator[tuple[str, Copy | None]]:
        """Yield what came of each file, and the copy if it is to be restored.

        The newest come first, callers' last. Raises `OSError`.
        """
        files = sorted(
            self._state.scan(), key=lambda each: (is_callers(each.name), -each.written_at)
        )
        count = size = 0
        for file in files:
            count, size = count + 1, size + file.size
            outcome, copy = "surplus", None
            if self._fits(1, file.size):
                outcome, copy = self._read(file.name)
            if copy is not None:
                self._of_kind(file.name)[file.name] = _File(
                    file.size, copy.key.store, file.written_at
                )
                self._of_kind(file.name).move_to_end(file.name, last=False)
                self._bytes += file.size
            elif outcome == "not_a_file" or file.is_unused or self._is_too_much(count, size):
                self._unlink(file.name)
            else:
                self._others.add(file.name)
            yield outcome, copy

    def read(self, name: str) -> Copy | None:
        """Return the copy that a file has, if there is one that is whole and of these stores."""
        return self._read(name)[1]

    def write(self, name: str, copy: Copy) -> None:
        """Write a copy, and make room for it. Raises `OSError`, and `ValueError` for no text."""
        data = seal(copy, self._state.secret)
        is_ours = name in self._of_kind(name) or self._state.find_time(name) is None
        written_at = self._state.write(name, data)
        self._forget(name)
        if not is_ours:
            self._others.add(name)
            return
        self._of_kind(name)[name] = _File(len(data), copy.key.store, written_at)
        self._bytes += len(data)
        while not self._fits(0, 0):
            self._remove_oldest()

    def remove(self, name: str) -> bool:
        """Remove a copy, whoever wrote it: its store has taken it back.

        Returns whether there was one. Raises `OSError`.
        """
        self._forget(name)
        return self._state.remove(name)

    def remove_of(self, stores: Collection[str]) -> int:
        """Remove our copies of these stores, and return how many there were."""
        names = [
            name
            for files in (self._own, self._callers)
            for name, file in files.items()
            if file.store in stores
        ]
        for name in names:
            self._forget(name)
            self._unlink(name)
        return len(names)

    def settle(self) -> None:
        """Have the disk know what was written and removed. Raises `OSError`."""
        self._state.settle()

    def _read(self, name: str) -> tuple[str, Copy | None]:
        """Read a copy, and return what came of it."""
        try:
            copy = unseal(self._state.read(name), self._state.secret)
        except ForeignCopyError:
            return "foreign_format", None
        except BrokenCopyError:
            return "corrupt", None
        except NotOurFileError:
            return "not_a_file", None
        except OSError:
            return "unreadable", None
        if name_of(copy.key, copy.place, self._state.secret) != name:
            return "corrupt", None
        if (place := self.places.get(copy.key.store)) is None:
            return "unknown_store", None
        return ("restored", copy) if copy.place == place else ("elsewhere", None)

    def _of_kind(self, name: str) -> OrderedDict[str, _File]:
        return self._callers if is_callers(name) else self._own

    def _fits(self, more: int, more_bytes: int) -> bool:
        """Tell whether there is room for that many more of ours."""
        count = len(self._own) + len(self._callers) + more
        return count <= self._max_entries and self._bytes + more_bytes <= self._max_bytes

    def _is_too_much(self, count: int, size: int) -> bool:
        """Tell whether a folder has so much in it that what is not ours has to go, too."""
        return count > max(_MOST_FILES, self._max_entries) or size > max(
            _MOST_BYTES, self._max_bytes
        )

    def _remove_oldest(self) -> None:
        """Remove the file that was written longest ago, unless another process wrote it since."""
        name, file = next(iter((self._callers or self._own).items()))
        self._forget(name)
        with contextlib.suppress(OSError):
            written_at = self._state.find_time(name)
            if written_at == file.written_at:
                self._state.remove(name)
            elif written_at is not None:
                self._others.add(name)

    def _forget(self, name: str) -> None:
        file = self._of_kind(name).pop(name, None)
        self._bytes -= file.size if file is not None else 0
        self._others.discard(name)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._state.remove(name)
