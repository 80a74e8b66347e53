"""What happens to files, as Linux tells of it: inotify.

Asking whether anything has happened costs a tenth of looking at a few files. Where the system tells
nothing, or not of all, they are looked at.
"""

import os
import select
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .reading import Looks

_MODIFY, _ATTRIB, _MOVED, _MADE, _REMOVED = 0x2, 0x4, 0x40 | 0x80, 0x100, 0x200
_GONE = 0x400 | 0x800
_IGNORED = 0x8000
_NO_FOLLOW, _AND = 0x2000000, 0x20000000
_OF_WHAT_IS_READ = _MODIFY | _ATTRIB | _MOVED | _MADE | _REMOVED | _GONE
# Of a folder on the way, not of what is in it: that may be all the temporary files of a machine.
_OF_THE_WAY = _GONE
_OF_A_LINK = _GONE | _ATTRIB

_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
# All processes of a user share tens of thousands, or in some places eight thousand.
_MAX_WATCHES = 1_000
_MAX_LINKS = 40

_PROOF_S = 0.1
_PAUSE_S = 0.01


class Changes:
    """Tells that something has happened to the files that are watched, but not what.

    Not all is told: not what another machine does to a volume, nor what is written through memory.
    `max_watches` is how many files, folders and links are watched at most.
    """

    def __init__(self, *, max_watches: int = _MAX_WATCHES) -> None:
        self._max_watches = max_watches
        self._libc: Any = None
        self._descriptor: int | None = None
        self._poll = select.poll()
        self._watches: dict[int, str] = {}
        self._paths: set[str] = set()
        self._count = 0
        self._begun = False

    def begin(self) -> None:
        """Have the system tell, unless it does so already, or cannot."""
        if self._begun or sys.platform != "linux":
            return
        self._begun = True
        import ctypes  # noqa: PLC0415  # for stores that need it: others do without its memory

        self._libc = ctypes.CDLL(None)
        descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor >= 0:
            self._descriptor = descriptor
            self._poll.register(descriptor, select.POLLIN)

    @property
    def watches(self) -> int:
        """How many files, folders and links are watched."""
        return len(self._watches)

    def count(self) -> int:
        """Return a number that is another one after each change."""
        if self._poll.poll(0):
            self._take()
            self._count += 1
        return self._count

    def watch(self, paths: Iterable[str]) -> bool:
        """Watch what is at these paths, and all that leads there. Return whether that can be."""
        return self._descriptor is not None and all(
            self._add(passed, mask) for path in paths for passed, mask in _way_to(path)
        )

    def close(self) -> None:
        """Watch nothing any more."""
        self._begun = True
        if self._descriptor is not None:
            self._poll.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _add(self, path: str, mask: int) -> bool:
        if len(self._watches) >= self._max_watches and path not in self._paths:
            return False
        flags = _NO_FOLLOW | _AND
        watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask | flags)
        if watch < 0:
            return False
        self._watches[watch] = path
        self._paths.add(path)
        return True

    def _take(self) -> None:
        """Take what the system tells, and forget the watches of what is no more."""
        assert self._descriptor is not None
        events = os.read(self._descriptor, _READ_BYTES)
        at = 0
        while at < len(events):
            watch, mask, _, length = _EVENT.unpack_from(events, at)
            if mask & _IGNORED:
                self._paths.discard(self._watches.pop(watch, ""))
            at += _EVENT.size + length


class Witness:
    """Tells whether the files of one template look as they did, and looks where it has to.

    What has been looked at is the same for as long as nothing happens, and for a tenth of a second:
    then it is looked at again, for what the system does not tell of.
    """

    __slots__ = ("_changes", "_count", "_looks", "_next", "_until")

    def __init__(self, looks: Looks, changes: Changes) -> None:
        changes.begin()
        self._looks = looks
        self._changes = changes
        self._count = -1
        self._until = 0.0
        self._next = 0.0

    def confirms(self) -> bool:
        """Return whether everything certainly is as it was."""
        now = time.monotonic()
        if now < self._until and self._changes.count() == self._count:
            return True
        looks = self._looks
        if now < self._next or looks.empty is None:
            return looks.prove()
        # Where files are written all the time, it costs more to be told than to look.
        self._next = now + _PAUSE_S
        # What happens from here on is told, and so is what happened before if it is looked at now.
        watched = self._changes.watch(path for path, _ in (*looks.there, *looks.empty))
        count = self._changes.count()
        proven = looks.prove()
        self._count, self._until = count, now + _PROOF_S if watched and proven else 0.0
        return proven


def _way_to(path: str) -> Iterator[tuple[str, int]]:
    """Return the folders and links that lead to a path, and what is there; and what matters of it.

    Links are told before where they lead. Nothing more is told from what is not there on.
    """
    here, links = os.sep, 0
    names = _names(os.path.join(os.getcwd(), path))
    while names:
        name = names.pop()
        if name == os.pardir:
            here = os.path.dirname(here)
            continue
        here = os.path.join(here, name)
        try:
            target = os.readlink(here)
        except OSError:
            yield here, _OF_THE_WAY if names else _OF_WHAT_IS_READ
            continue
        yield here, _OF_A_LINK
        links += 1
        if links > _MAX_LINKS:
            return
        here = os.sep if os.path.isabs(target) else os.path.dirname(here)
        names += _names(target)


def _names(path: str) -> list[str]:
    """Return the parts of a path, the first one last."""
    return [name for name in reversed(path.split(os.sep)) if name not in ("", os.curdir)]
