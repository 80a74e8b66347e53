"""Copies on disk of what the cache holds, which serve a restarted process whose store is down."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeAlias, TypeVarTuple

from ...metrics import Metrics
from .entries import Held, Key
from .envelope import BrokenCopyError, Copy, ForeignCopyError, name_of, seal, unseal
from .state import NotOurFileError, StateDir

_log = logging.getLogger(__name__)

# The time of what a store only confirms is written this often at most, and as far behind.
_SAME_AGAIN_S = 1.0
_CHUNK = 256
_LAST_WRITES_S = 5.0

_Given = TypeVarTuple("_Given")

Restore: TypeAlias = Callable[[Copy, float], object]
"""Takes a copy from before this process, and its age in seconds."""


class _File(NamedTuple):
    """A copy's file: its size, and the store that it is of; empty where that is not known."""

    size: int
    store: str


class DiskCopies:
    """A `CacheListener` that keeps copies of what remote stores confirmed.

    One thread reads what is there, and then writes: the newest of each key, as fast as the disk
    takes it. A disk that takes nothing is logged, counted, and tried again with the next change.
    `restored` tells that all has been read. `stores` are the names of the remote ones, `clock` is
    the cache's, and `wall_clock` gives Unix time.
    """

    def __init__(
        self,
        state: StateDir,
        *,
        stores: Collection[str],
        max_entries: int,
        max_bytes: int,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._stores = stores
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._wall_clock = wall_clock
        self._metrics = metrics
        # There from the start, so that the first one is seen as an increase.
        metrics.state_handled("failed", 0)
        self.restored = asyncio.Event()
        self._ended = asyncio.Event()
        # What the store has told of lately, so that what was read before that is not restored.
        self._noted: OrderedDict[Key, float] = OrderedDict()
        self._change = threading.Condition()
        self._pending: dict[Key, Copy | None] = {}
        self._writing: dict[Key, Copy | None] = {}
        self._closing = False
        self._fails = False
        self._lost: set[str] = set()
        # The files by name, the one first that was written longest ago.
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._bytes = 0

    async def start(self, restore: Restore, *, within_s: float) -> None:
        """Have what is there restored, the newest first, and begin to follow the cache.

        Returns once that is done, or after the time given, from which on it goes on by itself.
        """
        self._loop = asyncio.get_running_loop()
        self._restore = restore
        # A daemon: a disk that hangs must not keep the process.
        threading.Thread(target=self._run, name="state", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.restored.wait(), within_s)

    def adopt(
        self, stores: Collection[str], *, lost: Collection[str], max_entries: int, max_bytes: int
    ) -> None:
        """Keep copies of these stores from now on, within these limits; see `Replacement.lost`.

        All copies of lost stores are removed. What is there must have been restored.
        """
        with self._change:
            self._stores = stores
            self._max_entries, self._max_bytes = max_entries, max_bytes
            self._lost.update(lost)
            for key in [key for key in self._pending if key.store in lost]:
                del self._pending[key]
            self._change.notify()

    async def aclose(self) -> None:
        """Write what is still to be written, and end."""
        with self._change:
            self._closing = True
            self._change.notify()
        # Not by a thread: at the interpreter's end there are no more of them.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _LAST_WRITES_S)

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        """Have a template written, or only the time of its confirmation."""
        now = self._clock()
        noted_at = self._noted.get(key)
        soon_again = noted_at is not None and now - noted_at < _SAME_AGAIN_S
        if key.store not in self._stores or (soon_again and not changed):
            return
        self._note(key, now)
        self._put(key, Copy(key, held.template, self._wall_clock() - (now - held.confirmed_at)))

    def failing(self, key: Key, held: Held) -> None:
        """Keep the copy as it is."""

    def dropped(self, key: Key) -> None:
        """Have a copy removed, if there may be one."""
        if key.store not in self._stores:
            return
        # The cache tells of what was never there, too, and callers may ask for no end of that.
        if not self.restored.is_set():
            self._note(key, self._clock())
            self._put(key, None)
        elif key in self._noted or self._may_have_file(key):
            self._note(key, self._clock())
            # It must not be there after a restart, however much waits for the disk.
            self._put(key, None, at_any_rate=True)

    def _note(self, key: Key, now: float) -> None:
        self._noted[key] = now
        self._noted.move_to_end(key)
        if len(self._noted) > self._max_entries:
            self._noted.popitem(last=False)

    def _may_have_file(self, key: Key) -> bool:
        with self._change:
            if key in self._pending or key in self._writing:
                return True
        try:
            return name_of(key) in self._files
        except ValueError:
            # Of a text that is none, such as half of a character.
            return False

    def _put(self, key: Key, copy: Copy | None, *, at_any_rate: bool = False) -> None:
        with self._change:
            is_room = len(self._pending) < self._max_entries
            if is_room or at_any_rate or key in self._pending:
                self._pending[key] = copy
                self._change.notify()

    # What the thread does.

    def _run(self) -> None:
        try:
            self._read_all()
            while work := self._next():
                lost, batch = work
                self._write(batch, lost)
                self._writing = {}
        finally:
            self._call(self._ended.set)

    def _next(self) -> tuple[set[str], dict[Key, Copy | None]] | None:
        """Return whose copies are to be removed, and what is to be written; None at the end."""
        with self._change:
            while not (self._pending or self._lost or self._closing):
                self._change.wait()
            if not (self._pending or self._lost):
                return None
            pending, self._pending = self._pending, {}
            self._writing = pending
            lost, self._lost = self._lost, set()
        return lost, pending

    def _read_all(self) -> None:
        try:
            files = sorted(self._state.scan(), key=lambda file: file.written_at, reverse=True)
        except OSError as error:
            self._tell_fault(error)
            files = []
        outcomes: dict[str, int] = {}
        copies: list[Copy] = []
        for file in files:
            store = ""
            if len(self._files) >= self._max_entries or self._bytes + file.size > self._max_bytes:
                outcome = "surplus"
            else:
                outcome, store = self._read(file.name, copies)
            if outcome in ("surplus", "corrupt", "not_a_file"):
                self._remove(file.name)
            else:
                self._files[file.name] = _File(file.size, store)
                self._files.move_to_end(file.name, last=False)
                self._bytes += file.size
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if len(copies) >= _CHUNK:
                self._call(self._deliver, copies)
                copies = []
        self._call(self._deliver, copies)
        self._call(self._tell_restored, outcomes)

    def _read(self, name: str, copies: list[Copy]) -> tuple[str, str]:
        """Read a copy, and return what came of it, and of which store it is, if that is known."""
        try:
            copy = unseal(self._state.read(name), self._state.secret)
        except ForeignCopyError:
            return "foreign_format", ""
        except BrokenCopyError:
            return "corrupt", ""
        except NotOurFileError:
            return "not_a_file", ""
        except OSError:
            return "unreadable", ""
        store = copy.key.store
        if name_of(copy.key) != name:
            return "corrupt", store
        if store not in self._stores:
            return "unknown_store", store
        copies.append(copy)
        return "restored", store

    def _write(self, batch: dict[Key, Copy | None], lost: set[str]) -> None:
        outcomes = {"written": 0, "removed": self._remove_lost(lost), "failed": 0}
        fault: OSError | None = None
        for key, copy in batch.items():
            try:
                name = name_of(key)
                if copy is None:
                    self._forget(name)
                    self._state.remove(name)
                    outcomes["removed"] += 1
                else:
                    data = seal(copy, self._state.secret)
                    self._state.write(name, data)
                    self._keep(name, _File(len(data), key.store))
                    outcomes["written"] += 1
            except OSError as error:
                outcomes["failed"] += 1
                fault = error
            except ValueError:
                # Of a text that is none, such as half of a character.
                outcomes["failed"] += 1
        try:
            self._state.settle()
        except OSError as error:
            fault = error
        if fault is not None:
            self._tell_fault(fault)
        self._fails = fault is not None
        self._call(self._count, outcomes)

    def _remove_lost(self, stores: set[str]) -> int:
        """Remove the copies of these stores, and return how many there were."""
        names = [name for name, file in self._files.items() if file.store in stores]
        for name in names:
            self._forget(name)
            self._remove(name)
        return len(names)

    def _keep(self, name: str, file: _File) -> None:
        """Note a file that was written, and remove those that were written longest ago."""
        self._forget(name)
        self._files[name] = file
        self._bytes += file.size
        while len(self._files) > self._max_entries or self._bytes > self._max_bytes:
            oldest = next(iter(self._files))
            self._forget(oldest)
            self._remove(oldest)

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        self._bytes -= file.size if file is not None else 0

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._state.remove(name)

    def _tell_fault(self, error: OSError) -> None:
        """Log that the disk does not take it: once, until it does."""
        if not self._fails:
            _log.error(
                "copies of templates cannot be kept on disk",
                extra={"setting": "server.state_dir", "cause": error.strerror},
            )

    def _call(self, work: Callable[[*_Given], None], *given: *_Given) -> None:
        """Have something done on the event loop."""
        # Where that is closed, nobody waits for anything any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *given)

    # What it has done on the event loop.

    def _deliver(self, copies: Sequence[Copy]) -> None:
        for copy in copies:
            if copy.key not in self._noted:
                # A clock that went back tells nothing of what lies before it.
                self._restore(copy, max(0.0, self._wall_clock() - copy.confirmed_at))

    def _tell_restored(self, outcomes: dict[str, int]) -> None:
        self._count(outcomes)
        self.restored.set()

    def _count(self, outcomes: dict[str, int]) -> None:
        for outcome, number in outcomes.items():
            if number:
                self._metrics.state_handled(outcome, number)
