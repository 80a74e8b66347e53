"""Every client goes on while the server that it calls is restarted, again and again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.conformance import GREETED, Scene, running_scene
from tests.support.driver import Driver
from tests.support.ports import find_port
from tests.support.unreachable import refusing_server
from tests.support.waiting import WaitingProvider

RESTARTS = 5
CALLS = 50
# After as many, the pauses between them grow no more.
ATTEMPTS = 9


@pytest.fixture
async def restarted(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server that comes back on its address, and drains in a second."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"127.0.0.1:{find_port()}"}
    async with running_scene(tmp_path, settings="server: {drain_s: 1}", environ=environ) as scene:
        yield scene


@pytest.mark.parametrize("end", ["killed", "drained"])
@pytest.mark.parametrize("op", ["complete", "complete_stream"])
async def test_taken_along(driver: Driver, restarted: Scene, op: str, end: str) -> None:
    """A completion that its server's end takes along fails, and no model is asked once more."""
    provider = WaitingProvider(streamed=True)
    restarted.upstream.answer = provider.answer
    await driver.connect(restarted.address)

    call = driver.do(op, prompt="greet", variables=GREETED, timeout_ms=30_000)
    calling = asyncio.ensure_future(call)
    await provider.waiting.get()
    if end == "killed":
        await restarted.kill()
    else:
        await restarted.stop()
    await restarted.start()
    answer = await calling
    (await driver.do("resolve", prompt="plain")).check()

    assert answer.failure.code == "UNAVAILABLE"
    assert answer.failure.reason == ("" if end == "killed" else "DRAINING")
    assert len(restarted.upstream.exchanges) == 1


# Where gRPC's threads wait for a processor, a call may be cut off that comes as it is told to stop,
# and clients make only `Resolve` again then.
@pytest.mark.parametrize("method", ["resolve", pytest.param("complete", marks=pytest.mark.timed)])
async def test_rolling_restart(driver: Driver, restarted: Scene, method: str) -> None:
    """No call fails while the server is stopped and started anew, five times."""
    await driver.connect(restarted.address)
    call = {"method": method, "prompt": "greet", "variables": GREETED, "timeout_ms": 30_000}

    (await driver.do("repeat", **call, concurrency=4)).check()
    for _ in range(RESTARTS):
        await restarted.sent(method.title(), CALLS)
        await restarted.restart()
    await restarted.sent(method.title(), CALLS)
    done = await driver.do("stop")

    assert done.errors == []
    assert done.failed == 0
    assert sum(done.versions.values()) == done.calls
    assert done.calls > RESTARTS * CALLS


@pytest.mark.timed
async def test_recovery(driver: Driver, restarted: Scene) -> None:
    """A server that was killed, and looked for in vain, answers within a second of being ready."""
    await driver.connect(restarted.address)
    (await driver.do("resolve", prompt="plain")).check()

    took_s = []
    for _ in range(2):
        await restarted.kill()
        call = driver.do("resolve", prompt="plain", timeout_ms=60_000)
        calling = asyncio.ensure_future(call)
        async with refusing_server(restarted.address) as refused:
            for _ in range(ATTEMPTS):
                await refused.acquire()
        await restarted.start()
        ready_at = time.monotonic()
        (await calling).check()
        took_s.append(time.monotonic() - ready_at)

    assert max(took_s) <= 1
