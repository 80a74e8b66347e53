"""How the threads of this process share the processor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def yielding_threads() -> Iterator[None]:
    """Have threads that are started in here wait for their turn when they wake.

    gRPC's own wake for every packet, four or five times for each call. On a processor that they
    share with the event loop they interrupt what the loop is doing, which then takes twice as long,
    as nothing of it is left in the caches. As batch threads they run once the loop waits for them,
    at the latest when its slice of a few milliseconds is over. Where that cannot be asked for, the
    threads are as others are.
    """
    if not _schedule("SCHED_OTHER", "SCHED_BATCH"):
        yield
        return
    try:
        yield
    finally:
        _schedule("SCHED_BATCH", "SCHED_OTHER")


def _schedule(before: str, after: str) -> bool:
    """Change how the calling thread is scheduled, if it is as it was before. Linux alone can."""
    if not (hasattr(os, before) and hasattr(os, after)):
        return False
    with suppress(OSError):
        if os.sched_getscheduler(0) == getattr(os, before):
            os.sched_setscheduler(0, getattr(os, after), os.sched_param(0))
            return True
    return False
