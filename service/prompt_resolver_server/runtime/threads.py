"""Threads for work that would hold up an event loop, for as long as a process has any."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from typing_extensions import override

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_Job: TypeAlias = tuple[Future[Any], Callable[[], object]]


class Threads(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that takes work after the end of the main thread, too.

    Python's own takes none then, though other threads go on, and calls in them. There are at most
    `size` threads, which are started as they are needed and hold up no end of the process. Where
    the interpreter ends and none can be started any more, the work is done at once.

    It is a `ThreadPoolExecutor` by name alone: asyncio takes nothing else as a loop's default.
    """

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, thread_name_prefix=name)
        self._size = size
        self._name = name
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._started: list[threading.Thread] = []
        self._idle = 0
        self._is_closed = False

    @override
    def submit(
        self, fn: Callable[_Given, _Result], /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> "Future[_Result]":
        """Have something done; see `Executor.submit`."""
        future: Future[_Result] = Future()
        job = (future, partial(fn, *args, **kwargs))
        with self._changed:
            if self._is_closed:
                raise RuntimeError("expected no more work after the shutdown")
            if self._idle <= len(self._jobs) and len(self._started) < self._size:
                self._start()
            if self._started:
                self._jobs.append(job)
                self._changed.notify()
                return future
        _do(*job)
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; see `Executor.shutdown`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            while cancel_futures and self._jobs:
                self._jobs.popleft()[0].cancel()
        if wait:
            for thread in self._started:
                thread.join()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more of them: whoever has some makes do with these.
            if threading.main_thread().is_alive() and not self._started:
                raise
        else:
            self._started.append(thread)

    def _work(self) -> None:
        while job := self._next():
            _do(*job)
            # Which may be large, and the next one may be long in coming.
            del job

    def _next(self) -> "_Job | None":
        """Return what is to be done next; None at the end."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs or self._is_closed)
            self._idle -= 1
            return self._jobs.popleft() if self._jobs else None


def _do(future: "Future[Any]", job: Callable[[], object]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as exception:  # noqa: BLE001  # it is for whoever waits for the outcome
        future.set_exception(exception)
        # The exception has this frame, so the frame must not have what has the exception.
        del future
