"""What the log tells of faults that nobody foresaw: of what type, and where, and nothing else."""

import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from prompt_resolver_server.logs import (
    JsonFormatter,
    tell_fault_of_loop,
    tell_faults_of_threads,
)

SECRET = "key-of-nobody"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service would write."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)


def told(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def fail() -> None:
    raise ValueError(SECRET)


async def test_task_that_nobody_asks(log: io.StringIO) -> None:
    """An exception of a task that nobody asks for is told without its text."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_fault_of_loop)
    try:
        task = asyncio.ensure_future(fail())
        await asyncio.wait({task})
        del task
        gc.collect()
    finally:
        loop.set_exception_handler(None)

    (line,) = told(log)
    assert (line["message"], line["type"]) == ("nobody caught an exception", "ValueError")
    assert "fail" in str(line["where"])
    assert SECRET not in log.getvalue()


async def test_callback_that_fails(log: io.StringIO) -> None:
    """A callback that fails is told without what it was called with."""

    def callback(value: str) -> None:
        raise KeyError(value)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_fault_of_loop)
    try:
        loop.call_soon(callback, SECRET)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)

    assert [line["type"] for line in told(log)] == ["KeyError"]
    assert SECRET not in log.getvalue()


def test_loop_that_complains(log: io.StringIO) -> None:
    """What an event loop complains of without an exception is told as it says it."""
    loop = asyncio.new_event_loop()
    tell_fault_of_loop(loop, {"message": "a task was destroyed"})
    loop.close()

    assert [line["message"] for line in told(log)] == ["a task was destroyed"]


def test_threads(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a thread, or is raised as something is thrown away, is told without its text."""

    class Thrown:
        def __del__(self) -> None:
            raise ValueError(SECRET)

    def end() -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    tell_faults_of_threads()
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    Thrown()

    assert [(line["message"], line["type"]) for line in told(log)] == [
        ("a thread has ended in a fault", "ValueError"),
        ("a fault was ignored", "ValueError"),
    ]
    assert SECRET not in log.getvalue()
