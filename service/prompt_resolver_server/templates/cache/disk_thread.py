"""The thread that waits for the disk, so that nobody else has to."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVarTuple

from ...logs import place_of
from .copy_files import CopyFiles
from .envelope import Copy

_log = logging.getLogger(__name__)

# So many copies, or all of so many seconds, are delivered together.
_CHUNK = 256
_CHUNK_S = 0.1
# Should the disk hang.
_MOST_WANTED = 256

_Given = TypeVarTuple("_Given")


class Told(Protocol):
    """Who is told of what the thread does, on the event loop."""

    def deliver(self, copies: Collection[Copy]) -> None:
        """Take copies from before this process, the newest first."""
        ...

    def tell_restored(self) -> None:
        """Take note that all that was there has been read."""
        ...

    def count(self, outcomes: Mapping[str, int]) -> None:
        """Take note of how many copies came to what."""
        ...


class DiskThread:
    """Reads all files, and then does what it is given: the newest for each file, by its name.

    What calls wait for comes before all of that. A disk that takes nothing is logged, and tried
    again with what is given next.
    """

    def __init__(self, files: CopyFiles, told: Told) -> None:
        self._files = files
        self._told = told
        self._change = threading.Condition()
        self._pending: dict[str, Copy | None] = {}
        self._writing: dict[str, Copy | None] = {}
        self._wanted: dict[str, asyncio.Future[Copy | None]] = {}
        self._lost: set[str] = set()
        self._has_read_all = False
        self._closing = False
        self._ended = asyncio.Event()
        self._fails = False

    # What it is given, on the event loop.

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        # A daemon: a disk that hangs must not keep the process.
        threading.Thread(target=self._run, name="state", daemon=True).start()

    def put(self, name: str, copy: Copy | None, *, most: int | None = None) -> None:
        """Have a copy written, or removed if it is None, unless `most` wait already."""
        with self._change:
            if most is None or len(self._pending) < most or name in self._pending:
                self._pending[name] = copy
                self._change.notify()

    def lose(self, stores: Collection[str]) -> None:
        """Have all our copies of these stores removed, and none of them written any more."""
        with self._change:
            self._lost.update(stores)
            for name, copy in [*self._pending.items()]:
                if copy is not None and copy.key.store in stores:
                    del self._pending[name]
            self._change.notify()

    def may_have(self, name: str) -> bool:
        """Tell whether there may be such a file, or soon."""
        with self._change:
            if name in self._pending or name in self._writing:
                return True
        return name in self._files

    async def read(self, name: str, *, within_s: float) -> Copy | None:
        """Return a copy, if there is one, and the disk gives it in that time."""
        with self._change:
            for given in (self._pending, self._writing):
                if name in given:
                    return given[name]
            # Callers may ask for no end of what was never there.
            is_absent = self._has_read_all and name not in self._files
            if is_absent or len(self._wanted) >= _MOST_WANTED:
                return None
            found = self._wanted[name] = self._loop.create_future()
            self._change.notify()
        try:
            return await asyncio.wait_for(found, within_s)
        except TimeoutError:
            return None
        finally:
            with self._change:
                if self._wanted.get(name) is found:
                    del self._wanted[name]

    async def aclose(self, *, within_s: float) -> None:
        """Do what is still to be done, and end."""
        with self._change:
            self._closing = True
            self._change.notify()
        # Not by a thread: at the interpreter's end there are no more of them.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within_s)

    # What it does.

    def _run(self) -> None:
        try:
            self._read_all()
            while work := self._next():
                lost, batch = work
                self._write(batch, lost)
                self._writing = {}
        finally:
            self._call(self._ended.set)

    def _read_all(self) -> None:
        outcomes: dict[str, int] = {}
        copies: list[Copy] = []
        delivered_at = time.monotonic()
        try:
            for outcome, copy in self._files.read_all():
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                if copy is not None:
                    copies.append(copy)
                now = time.monotonic()
                if len(copies) >= _CHUNK or now - delivered_at >= _CHUNK_S:
                    self._call(self._told.deliver, copies)
                    copies, delivered_at = [], now
                # Whoever waits for one copy does not wait for all of them.
                self._read_wanted()
        except OSError as error:
            self._tell_fault(error)
        except Exception as fault:  # noqa: BLE001 - ours, which must not end the thread
            _log.error("copies of templates cannot be read", extra=place_of(fault))
        finally:
            self._has_read_all = True
            self._call(self._told.deliver, copies)
            self._call(self._told.count, outcomes)
            self._call(self._told.tell_restored)

    def _next(self) -> tuple[set[str], dict[str, Copy | None]] | None:
        """Return whose copies are to be removed, and what is to be written; None at the end."""
        while True:
            self._read_wanted()
            with self._change:
                if self._pending or self._lost:
                    self._writing, self._pending = self._pending, {}
                    lost, self._lost = self._lost, set()
                    return lost, self._writing
                if self._closing:
                    return None
                if not self._wanted:
                    self._change.wait()

    def _read_wanted(self) -> None:
        """Read what calls wait for."""
        while True:
            with self._change:
                if not self._wanted:
                    return
                name, found = self._wanted.popitem()
            self._call(_settle, found, self._files.read(name))

    def _write(self, batch: dict[str, Copy | None], lost: set[str]) -> None:
        outcomes = {"written": 0, "removed": self._files.remove_of(lost), "failed": 0}
        fault: OSError | None = None
        for name, copy in batch.items():
            # A call waits for what is read, and nobody for what is written.
            self._read_wanted()
            try:
                if copy is None:
                    outcomes["removed"] += self._files.remove(name)
                else:
                    self._files.write(name, copy)
                    outcomes["written"] += 1
            except OSError as error:
                outcomes["failed"] += 1
                fault = error
            except ValueError:
                # Of a text that is none, such as half of a character.
                outcomes["failed"] += 1
            except Exception as unforeseen:  # noqa: BLE001 - ours, and one file of many
                outcomes["failed"] += 1
                _log.error("a copy of a template cannot be written", extra=place_of(unforeseen))
        try:
            self._files.settle()
        except OSError as error:
            fault = error
        if fault is not None:
            self._tell_fault(fault)
        self._fails = fault is not None
        self._call(self._told.count, outcomes)

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


def _settle(found: asyncio.Future[Copy | None], copy: Copy | None) -> None:
    if not found.done():
        found.set_result(copy)
