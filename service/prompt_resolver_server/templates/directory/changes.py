"""What happens to files, as Linux tells of it: inotify.

Asking whether anything has happened costs a tenth of looking at a few files. Where the system tells
nothing, or not of all, they are looked at.
"""

import os
import select
import struct
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .reading import Looks

_MODIFY, _ATTRIB, _MOVED, _MADE, _REMOVED = 0x2, 0x4, 0x40 | 0x80, 0x100, 0x200
_GONE = 0x400 | 0x800
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_NO_FOLLOW, _AND = 0x2000000, 0x20000000
_OF_A_FOLDER = _ATTRIB | _MOVED | _MADE | _REMOVED | _GONE
_OF_WHAT_IS_READ = _MODIFY | _OF_A_FOLDER
# Of a folder on the way, not of what is in it: that may be all the temporary files of a machine.
_OF_THE_WAY = _GONE
_OF_A_LINK = _GONE | _ATTRIB

_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
# All processes of a user share tens of thousands, or in some places eight thousand.
_MAX_WATCHES = 1_000
_RENEW_S = 60.0
_MAX_LINKS = 40

_PROOF_S = 0.1
_PAUSE_S = 0.01


class Changes:
    """Tells that something has happened to the files that are watched, but not what.

    Not all is told: not what another machine does to a volume, nor what is written through memory,
    mounted over a folder, or forbidden on the way. `max_watches` is about how many files, folders
    and links are watched at most; where there are more, they are chosen anew once a minute.
    """

    def __init__(
        self,
        *,
        max_watches: int = _MAX_WATCHES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_watches = max_watches
        self._clock = clock
        self._libc: Any = None
        self._may_begin = sys.platform == "linux"
        self._descriptor: int | None = None
        self._closing: weakref.finalize[[int], Changes] | None = None
        self._poll = select.poll()
        self._watches: set[int] = set()
        self._renew_at = clock() + _RENEW_S
        self._count = 0

    def begin(self) -> None:
        """Have the system tell, if it can; it is asked once."""
        if self._may_begin:
            self._may_begin = False
            import ctypes  # noqa: PLC0415  # for stores that need it: others do without its memory

            self._libc = ctypes.CDLL(None)
            self._open()

    @property
    def watches(self) -> int:
        """How many files, folders and links are watched."""
        return len(self._watches)

    def count(self) -> int:
        """Return a number that is another one after each change."""
        if self._poll.poll(0):
            self._count += 1
            self._take()
        return self._count

    def watch(self, looks: Looks) -> bool:
        """Watch all that was looked at, and what leads there. Return whether that can be."""
        if looks.empty is None:
            # What is absent in no folder that is known cannot be watched.
            return False
        if len(self._watches) >= self._max_watches and self._clock() >= self._renew_at:
            self._renew()
        if self._descriptor is None or len(self._watches) >= self._max_watches:
            return False
        try:
            ways = _ways_to(looks)
            # A link may have been turned before it was watched.
            return all(self._add(*each) for each in ways.items()) and ways == _ways_to(looks)
        except OSError:
            # A path that begins in a folder that is gone.
            return False

    def close(self) -> None:
        """Watch nothing any more."""
        self._may_begin = False
        self._close()

    def _open(self) -> None:
        descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor >= 0:
            self._descriptor = descriptor
            self._closing = weakref.finalize(self, os.close, descriptor)
            self._poll.register(descriptor, select.POLLIN)

    def _close(self) -> None:
        if self._descriptor is not None:
            self._poll.unregister(self._descriptor)
            self._descriptor = None
        if self._closing is not None:
            self._closing()
            self._closing = None
        self._watches.clear()
        self._count += 1

    def _renew(self) -> None:
        """Watch nothing, and begin anew."""
        self._renew_at = self._clock() + _RENEW_S
        self._close()
        self._open()

    def _add(self, path: str, mask: int) -> bool:
        flags = _NO_FOLLOW | _AND
        watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask | flags)
        if watch < 0:
            return False
        self._watches.add(watch)
        return True

    def _take(self) -> None:
        """Take what the system tells, and forget the watches of what is no more."""
        assert self._descriptor is not None
        try:
            events = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            # A process that was forked off has taken it.
            return
        except OSError:
            # Somebody has closed it: its number may be another file's by now.
            if self._closing is not None:
                self._closing.detach()
            self._close()
            return
        at = 0
        while at < len(events):
            watch, mask, _, length = _EVENT.unpack_from(events, at)
            if mask & _IGNORED:
                self._watches.discard(watch)
            if mask & _OVERFLOW:
                self._renew()
                return
            at += _EVENT.size + length


class Witness:
    """Tells whether the files of one template look as they did, and looks where it has to.

    What has been looked at is the same for as long as nothing happens, and for a tenth of a second:
    then it is looked at again, for what the system does not tell of.
    """

    __slots__ = ("_changes", "_count", "_looks", "_next", "_until", "_watched")

    def __init__(self, looks: Looks, changes: Changes) -> None:
        changes.begin()
        self._looks = looks
        self._changes = changes
        self._watched = False
        self._count = -1
        self._until = 0.0
        self._next = 0.0

    def confirms(self) -> bool:
        """Return whether everything certainly is as it was."""
        now, count = time.monotonic(), self._changes.count()
        self._watched = self._watched and count == self._count
        if self._watched and now < self._until:
            return True
        if not self._watched and now >= self._next:
            # Where files are written all the time, it costs more to be told than to look.
            self._next = now + _PAUSE_S
            self._watched = self._changes.watch(self._looks)
            # What happens from here on is told. What happened meanwhile may have led astray.
            self._watched = self._watched and count == self._changes.count()
            self._count = count
        proven = self._looks.prove()
        self._until = now + _PROOF_S if proven else 0.0
        return proven


def _ways_to(looks: Looks) -> dict[str, int]:
    """Return all that leads to what was looked at, and what matters of each."""
    ways: dict[str, int] = {}
    for those, events in ((looks.there, _OF_WHAT_IS_READ), (looks.empty or (), _OF_A_FOLDER)):
        for path, _ in those:
            for passed, mask in _way_to(path, events):
                ways[passed] = ways.get(passed, 0) | mask
    return ways


def _way_to(path: str, events: int) -> Iterator[tuple[str, int]]:
    """Return the folders and links that lead to a path, and what is there; and what matters of it.

    Links are told before where they lead. `events` are what matters of what is there in the end.
    """
    here, links = os.sep, 0
    names = _names(path if os.path.isabs(path) else os.path.join(os.getcwd(), path))
    while names:
        name = names.pop()
        if name == os.pardir:
            here = os.path.dirname(here)
            continue
        here = os.path.join(here, name)
        try:
            target = os.readlink(here)
        except OSError:
            if names:
                yield here, _OF_THE_WAY
            continue
        yield here, _OF_A_LINK
        links += 1
        if links > _MAX_LINKS:
            return
        here = os.sep if os.path.isabs(target) else os.path.dirname(here)
        names += _names(target)
    yield here, events


def _names(path: str) -> list[str]:
    """Return the parts of a path, the first one last."""
    return [name for name in reversed(path.split(os.sep)) if name not in ("", os.curdir)]
