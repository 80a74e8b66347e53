"""Work beside the event loop."""

import gc
import threading

import pytest

from prompt_resolver_server.runtime.aside import Aside
from tests.support.unreachable import until


def threads() -> int:
    return sum(thread.name == "beside" for thread in threading.enumerate())


async def test_what_is_done() -> None:
    """What some work returns is returned, and what it raises is raised."""
    aside = Aside("beside")

    assert await aside.do(lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        await aside.do(lambda: 1 / 0)
    assert threads() == 1


async def test_nobody_has_it_any_more() -> None:
    """Its thread ends with whoever had it made."""
    await Aside("beside").do(lambda: None)
    gc.collect()

    await until(lambda: threads() == 0)
