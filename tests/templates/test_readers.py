"""A store's disk may hang: what waits for it is bounded, and holds up nobody else."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from threading import Event

import pytest

from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.templates.readers import Readers
from tests.support.unreachable import until


class ReadError(Exception):
    """What a read fails with."""


def reading() -> list[threading.Thread]:
    """Return the threads of the store that tests read."""
    return [thread for thread in threading.enumerate() if thread.name == "read-disk"]


@pytest.fixture
async def answers() -> AsyncIterator[Event]:
    """What is set once the disk answers."""
    answers = Event()
    yield answers
    answers.set()
    await until(lambda: not reading())


async def silence(readers: Readers, answers: Event) -> StoreError:
    """Return what is said of a read that does not come back."""
    with pytest.raises(StoreError) as caught:
        await readers.do(answers.wait)
    return caught.value


async def test_works(answers: Event) -> None:
    """What some work returns is returned, and what it raises is raised."""
    readers = Readers(store="disk", threads=2)
    assert not reading()

    assert await readers.do(lambda: "read") == "read"
    with pytest.raises(ZeroDivisionError):
        await readers.do(lambda: 1 / 0)
    readers.close()


async def test_threads_are_few(answers: Event) -> None:
    """However much waits, no more threads are made than there may be; one that is idle is used."""
    readers = Readers(store="disk", threads=2)
    for _ in range(5):
        await readers.do(lambda: None)
    idle = len(reading())

    waiting = [asyncio.create_task(readers.do(answers.wait)) for _ in range(9)]
    await asyncio.sleep(0)
    busy = len(reading())
    answers.set()

    assert (idle, busy) == (1, 2)
    assert await asyncio.gather(*waiting) == [True] * 9
    readers.close()


@pytest.mark.timed
async def test_disk_that_hangs(answers: Event) -> None:
    """While reads hang others are done, and none is begun once all threads hang; then all are."""
    readers = Readers(store="disk", threads=2, timeout_s=0.05)
    error = await silence(readers, answers)
    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "timeout")
    assert await readers.do(lambda: "read") == "read"
    await silence(readers, answers)
    begun: list[str] = []

    with pytest.raises(StoreError):
        await readers.do(lambda: begun.append("read"))
    answers.set()

    await until(lambda: not readers.is_silent)
    assert await readers.do(lambda: "read") == "read"
    assert begun == []
    readers.close()


async def test_disk_that_is_slow(answers: Event) -> None:
    """What takes long and ends is no disk that hangs, and neither is what waits for a thread."""
    readers = Readers(store="disk", threads=1, timeout_s=60)

    def read() -> str:
        # As a volume does that is far away.
        threading.Event().wait(0.15)
        return "read"

    assert await asyncio.gather(*(readers.do(read) for _ in range(3))) == ["read"] * 3
    assert not readers.is_silent
    readers.close()


@pytest.mark.timed
async def test_others_while_one_hangs(answers: Event) -> None:
    """Once a read hangs, no other takes more than a moment, however long each may take."""
    loop = asyncio.get_running_loop()
    readers = Readers(store="disk", threads=2, timeout_s=1)
    await silence(readers, answers)

    began = loop.time()
    await silence(readers, answers)

    assert loop.time() - began < 0.5
    readers.close()


async def test_failures_are_not_kept(answers: Event) -> None:
    """What a read raises goes with whoever has caught it, and needs no search for cycles."""
    readers = Readers(store="disk", threads=1)
    gc.collect()
    gc.disable()

    def fail() -> None:
        raise ReadError

    try:
        with pytest.raises(ReadError) as caught:
            await readers.do(fail)
        failure = weakref.ref(caught.value)
        del caught
        await until(lambda: failure() is None)
    finally:
        gc.enable()
    readers.close()


@pytest.mark.timed
async def test_who_leaves(answers: Event) -> None:
    """What a caller has left is no disk that hangs, until it has taken too long."""
    readers = Readers(store="disk", threads=1, timeout_s=0.1)
    began = Event()

    def read() -> None:
        began.set()
        answers.wait()

    asked = asyncio.create_task(readers.do(read))
    await until(began.is_set)
    asked.cancel()
    await asyncio.wait([asked])
    at_once = readers.is_silent

    await until(lambda: readers.is_silent)

    assert not at_once
    readers.close()


async def test_closing(answers: Event) -> None:
    """What has begun ends, and its threads; a call that comes too late is served all the same."""
    readers = Readers(store="disk", threads=2)
    waiting = [asyncio.create_task(readers.do(answers.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    readers.close()
    answers.set()

    assert await asyncio.gather(*waiting) == [True] * 3
    assert await readers.do(lambda: "read") == "read"


async def test_owner_that_forgets_to_close(answers: Event) -> None:
    """Threads end with whoever had them made."""
    await Readers(store="disk", threads=2).do(lambda: None)

    await until(lambda: not reading())


def test_process_that_ends() -> None:
    """A process ends though its disk hangs."""
    program = """
import asyncio
from threading import Event
from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.templates.readers import Readers

async def main():
    try:
        await Readers(store="disk", threads=1, timeout_s=0.01).do(Event().wait)
    except StoreError as error:
        print(error.reason)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert ended.stdout.strip() == "STORE_UNAVAILABLE"
