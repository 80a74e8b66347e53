"""The files of copies in a folder that several processes may share.

A process removes what it wrote itself, and what it found room for at the start, as it may have
written that in a life before. All else may be what another process will need: that is left, until
nobody has written it for so long that nobody can be meaning to read it, or there is too much.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from ...logs import place_of
from .entries import Key
from .envelope import BrokenCopyError, Copy, ForeignCopyError, is_callers, name_of, seal, unseal
from .state import NotOurFileError, StateDir, StateFile

_log = logging.getLogger(__name__)

# Whoever they are of, there are no more in a folder than this once it is swept: as many as ten
# services have by default.
_MOST_FILES: Final = 100_000
_MOST_BYTES: Final = 1024 * 1024 * 1024
# How many times as much there may be before it is swept again, which has to look at all of it.
_SLACK: Final = 1.125


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
        # The sizes of what is not ours, as far as it is known.
        self._others: dict[str, int] = {}
        self._others_bytes = 0

    def __contains__(self, name: str) -> bool:
        """Tell whether there may be such a file. Any thread may ask."""
        return self._is_ours(name) or name in self._others

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
        others: list[StateFile] = []
        for file in self._list():
            outcome, copy = "surplus", None
            if self._fits(1, file.size):
                outcome, copy = self._read(file.name)
            if copy is not None:
                self._of_kind(file.name)[file.name] = _File(
                    file.size, copy.key.store, file.written_at
                )
                self._of_kind(file.name).move_to_end(file.name, last=False)
                self._bytes += file.size
            elif outcome == "not_a_file":
                self._unlink(file.name)
            else:
                others.append(file)
            yield outcome, copy
        self._sweep(others)

    def read(self, name: str) -> Copy | None:
        """Return the copy that a file has, if there is one that is whole and of these stores."""
        return self._read(name)[1]

    def write(self, name: str, copy: Copy) -> None:
        """Write a copy, and make room for it. Raises `OSError`, and `ValueError` for no text."""
        data = seal(copy, self._state.secret)
        is_ours = self._is_ours(name) or self._state.find_time(name) is None
        written_at = self._state.write(name, data)
        self._forget(name)
        if is_ours:
            self._of_kind(name)[name] = _File(len(data), copy.key.store, written_at)
            self._bytes += len(data)
            while not self._fits(0, 0):
                self._remove_oldest()
        else:
            self._leave(name, len(data))
        count, size = self._count + len(self._others), self._bytes + self._others_bytes
        if self._is_too_much(count / _SLACK, size / _SLACK):
            with contextlib.suppress(OSError):
                self._sweep([each for each in self._list() if not self._is_ours(each.name)])

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
        except Exception as fault:  # noqa: BLE001 - ours, and one file of many
            _log.error("a copy of a template cannot be read", extra=place_of(fault))
            return "failed", None
        if name_of(copy.key, copy.place, self._state.secret) != name:
            return "corrupt", None
        if (place := self.places.get(copy.key.store)) is None:
            return "unknown_store", None
        return ("restored", copy) if copy.place == place else ("elsewhere", None)

    def _list(self) -> list[StateFile]:
        """Return all files, the newest first, callers' last. Raises `OSError`."""
        return sorted(
            self._state.scan(), key=lambda each: (is_callers(each.name), -each.written_at)
        )

    def _sweep(self, others: Collection[StateFile]) -> None:
        """Remove what nobody needs of what is not ours, and the last of it if it is too much."""
        left: dict[str, int] = {}
        count, size = self._count, self._bytes
        for file in others:
            count, size = count + 1, size + file.size
            if file.is_unused or self._is_too_much(count, size):
                self._unlink(file.name)
            else:
                left[file.name] = file.size
        self._others, self._others_bytes = left, sum(left.values())

    @property
    def _count(self) -> int:
        return len(self._own) + len(self._callers)

    def _is_ours(self, name: str) -> bool:
        return name in self._of_kind(name)

    def _of_kind(self, name: str) -> OrderedDict[str, _File]:
        return self._callers if is_callers(name) else self._own

    def _fits(self, more: int, more_bytes: int) -> bool:
        """Tell whether there is room for that many more of ours."""
        return (
            self._count + more <= self._max_entries and self._bytes + more_bytes <= self._max_bytes
        )

    def _is_too_much(self, count: float, size: float) -> bool:
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
                self._leave(name, file.size)

    def _leave(self, name: str, size: int) -> None:
        self._others[name] = size
        self._others_bytes += size

    def _forget(self, name: str) -> None:
        file = self._of_kind(name).pop(name, None)
        self._bytes -= file.size if file is not None else 0
        self._others_bytes -= self._others.pop(name, 0)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._state.remove(name)
