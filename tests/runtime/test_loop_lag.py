"""How late the event loop is, as the metrics tell it."""

import asyncio
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from prompt_resolver_server.runtime.loop_lag import LoopLag
from tests.support.service import RunningService, running_service

HELD_UP_S = 2.0


async def test_loop_that_is_held_up(tmp_path: Path) -> None:
    """A loop that is held up for two seconds is seen to be, and both probes outlive it."""
    name = "prompt_resolver_event_loop_lag_seconds"
    async with running_service(tmp_path) as service:
        probes = _start_probes(service)
        # What a fault of ours might do.
        time.sleep(HELD_UP_S)  # noqa: ASYNC251
        codes = [await asyncio.to_thread(probe.wait, 30) for probe in probes]
        looks = await service.metric(f"{name}_count")
        late = looks - await service.metric(f'{name}_bucket{{le="1.0"}}')

    assert codes == [0, 0]
    # Of the ten looks a second that it missed, those of the first second were over a second late.
    assert late >= 8


def _start_probes(service: RunningService) -> list["subprocess.Popen[bytes]"]:
    """Ask as a cluster does: whether the service serves, and whether its process lives."""
    health = (sys.executable, "-m", "prompt_resolver.cli", "health", "--address", service.address)
    liveness = ("curl", "--silent", "--fail", "--max-time", "5", f"{service.admin_url}/healthz")
    # Not by the event loop, whose way to start a process gRPC's threads may crash.
    return [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in (health, liveness)]


async def test_time_counts_as_long_as_it_was() -> None:
    """Whoever asks for a quantile is told how long things waited, not how seldom it was looked."""
    observed: list[float] = []
    enough = asyncio.Event()

    def observe(seconds: float) -> None:
        observed.append(seconds)
        if len(observed) == 5:
            enough.set()

    lag = LoopLag(observe)
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - it is what this is about
    await enough.wait()
    lag.close()

    first, *others = observed[1:5]
    assert first > 0.35
    assert [round(one - later, 3) for one, later in pairwise([first, *others])] == [0.1] * 3


async def test_closed() -> None:
    """Nothing is observed any more once it is closed."""
    observed: list[float] = []
    LoopLag(observed.append).close()
    await asyncio.sleep(0)

    assert observed == []
