"""The engine of a process, through its forks and to its end.

It is imported with the package, so that it knows of each fork and imports nothing heavy.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

with suppress(RuntimeError):
    # Python imports it no more once the main thread has ended, when others may begin to call. And
    # it takes a lock before a fork, which the thread of the calls may need while a fork waits for
    # it: what was imported first comes to its turn last.
    import concurrent.futures.thread  # noqa: F401

if TYPE_CHECKING:
    from .engine import Engine


class Process:
    """This process, and the engine that it has, if it has one."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held by whoever must not be forked from, which the thread of the calls never needs."""
        self.is_barred = False
        """Whether it was forked while gRPC was in use, which that does not survive."""
        self._engine: Engine | None = None
        self._left_behind: list[Engine] = []

    def find(self, begin: "Callable[[], Engine]") -> "Engine":
        """Return the engine, which is begun if there is none."""
        # It is there for all calls but the first, which then wait for no import.
        if (engine := self._engine) is not None:
            return engine
        with self.lock:
            if self._engine is None:
                self._engine = begin()
            return self._engine

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Have no fork meanwhile: what a thread is importing then, a fork could never import."""
        with self.lock:
            yield

    def before_fork(self) -> None:
        """Have one fork at a time, and no first call meanwhile."""
        self.lock.acquire()
        if self._engine is not None:
            self._engine.rest()

    def after_fork(self) -> None:
        """Go on as before."""
        self.lock.release()
        if self._engine is not None:
            self._engine.wake()

    def begin_anew(self) -> None:
        """Forget the engine of the process that this one was forked from.

        Its thread is not here, and whatever it held is the other process'. It is kept, as nothing
        of it must be closed.
        """
        self.lock = threading.RLock()
        if self._engine is not None:
            self.is_barred = self.is_barred or not self._engine.is_forkable
            self._left_behind.append(self._engine)
            self._engine = None

    def close(self) -> None:
        """End the engine. A call that comes later begins another one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


process = Process()
os.register_at_fork(
    before=process.before_fork,
    after_in_parent=process.after_fork,
    after_in_child=process.begin_anew,
)
atexit.register(process.close)
