"""Threads for work that would hold up an event loop, for as long as a process has any."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Threads(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that takes work after the end of the main thread, too.

    Python's own takes none then, though other threads go on, and calls in them. There are at most
    `size` threads at once, which end when there is nothing to do, and hold up no end of the
    process. Where none can be started, as where the interpreter ends, the work is done at once.

    It is a `ThreadPoolExecutor` by name alone: asyncio takes nothing else as a loop's default.
    """

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, thread_name_prefix=name)
        self._size = size
        self._name = name
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], object]]] = deque()
        self._running = 0
        self._is_closed = False

    @override
    def submit(
        self, fn: Callable[_Given, _Result], /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> "Future[_Result]":
        """Have something done; see `Executor.submit`."""
        future: Future[_Result] = Future()
        with self._changed:
            if self._is_closed:
                raise RuntimeError("expected no more work after the shutdown")
            self._jobs.append((future, partial(fn, *args, **kwargs)))
            if self._running == self._size:
                return future
            self._running += 1
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            self._work()
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; see `Executor.shutdown`."""
        with self._changed:
            self._is_closed = True
            while cancel_futures and self._jobs:
                self._jobs.popleft()[0].cancel()
            if wait:
                self._changed.wait_for(lambda: not self._running)

    def _work(self) -> None:
        """Do what there is to be done."""
        while True:
            with self._changed:
                if not self._jobs:
                    self._running -= 1
                    self._changed.notify_all()
                    return
                future, job = self._jobs.popleft()
            _settle(future, job)


def _settle(future: "Future[Any]", job: Callable[[], object]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as exception:  # noqa: BLE001  # it is for whoever waits for the outcome
        future.set_exception(exception)
