"""Threads for work that would hold up an event loop."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prompt_resolver_server.runtime.threads import Threads


def test_how_many() -> None:
    """So many threads work at once, and what comes beyond waits for its turn."""
    threads = Threads(2, "few")
    begun, going_on = threading.Semaphore(0), threading.Event()

    def work() -> str:
        begun.release()
        going_on.wait()
        return threading.current_thread().name

    works = [threads.submit(work) for _ in range(5)]
    both = [begun.acquire(timeout=10) for _ in range(2)]
    third = begun.acquire(timeout=0.1)
    going_on.set()

    assert (both, third) == ([True, True], False)
    assert [each.result(10) for each in works] == ["few"] * 5
    threads.shutdown()
    assert "few" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}


def test_what_fails() -> None:
    """What some work raises is for whoever waits for it, and harms no other."""
    threads = Threads(1, "one")

    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(10)
    with pytest.raises(SystemExit):
        threads.submit(exit).result(10)
    assert threads.submit(divmod, 7, 2).result(10) == (3, 1)


def test_the_end() -> None:
    """A shutdown waits for what runs, gives up the rest if asked to, and takes nothing more."""
    threads = Threads(1, "one")
    begun, going_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        going_on.wait()

    running, waiting = threads.submit(work), threads.submit(work)
    begun.wait()
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError):
        threads.submit(work)
    going_on.set()
    threads.shutdown()

    assert running.done()
    assert waiting.cancelled()


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Have the system start none, as each would need more memory than there is."""
    size = threading.stack_size(2**46)
    try:
        yield
    finally:
        threading.stack_size(size)


def test_no_more_threads() -> None:
    """Where no thread can be started, nothing is done in the thread that asks for it."""
    threads, done = Threads(1, "none"), threading.Event()

    with no_more_threads(), pytest.raises(RuntimeError):
        threads.submit(done.set)

    assert not done.is_set()
    threads.submit(done.set).result(10)
    assert done.is_set()
