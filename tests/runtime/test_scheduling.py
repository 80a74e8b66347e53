"""How the threads of the process share the processor."""

import os
import sys
import threading
from pathlib import Path

import pytest

from prompt_resolver import PromptResolverClient
from prompt_resolver_server.runtime.scheduling import yielding_threads
from tests.support.service import service_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone schedules so")


def policies(pid: int) -> dict[int, int]:
    """Return how each thread of a process is scheduled."""
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    return {thread: os.sched_getscheduler(thread) for thread in threads}


@pytest.mark.parametrize("yielding", [True, False])
def test_threads_of_the_service(yielding: bool) -> None:
    """The event loop runs as any process does, and gRPC's threads wait, if they are to."""
    environ = {"PROMPT_RESOLVER_YIELDING_THREADS": str(yielding)}
    with service_process(environ=environ) as service:
        with PromptResolverClient(service.address) as client:
            client.resolve("assistant/orders", variables={"company": "J", "question": "Q"})
        found = policies(service.process.pid)
        loop = found.pop(service.process.pid)
        service.stop()

    assert loop == os.SCHED_OTHER
    waiting = list(found.values()).count(os.SCHED_BATCH)
    assert waiting >= 4 if yielding else waiting == 0


def run_in_thread(policy: int) -> tuple[int, int, int]:
    """Return how a thread of this policy is scheduled in the context, its thread, and it after."""
    seen: list[int] = []

    def look() -> None:
        seen.append(os.sched_getscheduler(0))

    def run() -> None:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        with yielding_threads():
            look()
            inner = threading.Thread(target=look)
            inner.start()
            inner.join()
        look()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return (seen[0], seen[1], seen[2])


def test_only_what_is_started_meanwhile() -> None:
    """Threads that are started in the context yield, and who started them is as before."""
    assert run_in_thread(os.SCHED_OTHER) == (os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER)


def test_an_operators_policy_stays() -> None:
    """What was told to run in another way by somebody else goes on doing so."""
    assert run_in_thread(os.SCHED_IDLE) == (os.SCHED_IDLE,) * 3
