"""A mixed load of every kind of call, good and bad, leaves the service as it was.

`make test ARGS="tests/test_soak.py -s --soak-s 600"` takes longer, and prints what was used.
"""

import asyncio
import gc
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.load import Load
from tests.support.scene import Scene, faults_in, running_scene
from tests.support.service import RunningService, running_process, running_service
from tests.support.vitals import Vitals, vitals

SEED = 5
PER_SECOND = 150
RECORD = "prompt_resolver_server.watching.journal.Record"
TEMPLATE = "prompt_resolver_server.domain.prompts.Template"
COUNTED = ("prompt_resolver", "grpc", "aiohttp", "httpx", "httpcore", "_asyncio", "asyncio")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(tmp_path) as scene:
        yield scene


async def quiet(scene: Scene, service: RunningService, load: Load) -> None:
    """Wait until nothing runs any more, and nothing is connected but what has to be."""
    scene.rest()
    async with asyncio.timeout(20):
        while await running(service):
            pass
    # gRPC keeps the connection of a client that was closed amid its calls until they are collected.
    gc.collect()
    # What is closed by its other end is let go of when a connection is needed next.
    await load.again()


async def running(service: RunningService) -> dict[str, float]:
    """Return what runs, by the names of its gauges."""
    page = await service.metrics()
    gauges = ("prompt_resolver_calls_inflight{", "prompt_resolver_upstream_inflight{")
    samples = [line.rpartition(" ") for line in page.splitlines() if line.startswith(gauges)]
    assert len(samples) == 6
    return {name: float(value) for name, _, value in samples if float(value)}


async def test_soak(tmp_path: Path, scene: Scene, pytestconfig: pytest.Config) -> None:
    """Files, threads and memory do not grow with the calls, and what must succeed does."""
    soak_s = pytestconfig.getoption("--soak-s")
    phases = max(4, int(soak_s / 60))
    used: list[Vitals] = []
    # What Python warns of, such as a coroutine that nobody awaits, is told as well.
    environ = {"PYTHONWARNINGS": "default"}
    async with running_process(tmp_path, scene.config, environ) as (service, process):
        async with Load(service.address, scene.api, seed=SEED) as load:
            for _ in range(phases):
                await load.run(int(soak_s * PER_SECOND / phases), per_second=PER_SECOND)
                await quiet(scene, service, load)
                used.append(vitals(process.process.pid))
                print(f"after {load.begun} calls: {used[-1]}")
            entries = await service.metric("prompt_resolver_template_cache_entries")
        code, log = await asyncio.to_thread(process.stop)

    print(json.dumps(load.outcomes, indent=1, sort_keys=True), f"health {max(load.health_s):.3f} s")
    assert load.faults == []
    assert faults_in(log) == []
    assert code == 0
    assert 0 < entries <= scene.entries
    assert max(load.health_s) < 2
    # By the middle everything has been done many times, and every cache is full.
    middle, last = used[phases // 2 - 1], used[-1]
    assert last.files <= middle.files + 2
    assert last.threads <= middle.threads + 4
    assert last.memory_kib <= middle.memory_kib + 8 * 1024


async def test_nothing_is_left_behind(
    tmp_path: Path, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """When all calls have ended, no task and no object of theirs is there any more."""
    # What is kept for the test's own report would be counted.
    caplog.set_level(logging.ERROR)
    counts: list[Counter[str]] = []
    tasks: list[int] = []
    async with (
        running_service(tmp_path, scene.config) as service,
        Load(service.address, scene.api, seed=SEED) as load,
    ):
        for calls in (1500, 500, 500):
            await load.run(calls, per_second=400)
            await quiet(scene, service, load)
            tasks.append(len(asyncio.all_tasks()))
            counts.append(objects())

    assert load.faults == []
    assert caplog.records == []
    assert tasks[2] <= tasks[1] + 3
    grown = counts[2] - counts[1]
    # How prompts have changed is remembered, within bounds: a record and its template for each.
    grown[TEMPLATE] -= grown.pop(RECORD, 0)
    assert grown.total() < 60, grown


def objects() -> Counter[str]:
    """Count the objects of calls, by the names of their types."""
    gc.collect()
    types = map(type, gc.get_objects())
    return Counter(
        f"{each.__module__}.{each.__qualname__}"
        for each in types
        if str(each.__module__).startswith(COUNTED)
    )
