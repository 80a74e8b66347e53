"""Every client waits for a server that is not there, and finds it soon once it is."""

import asyncio
from pathlib import Path

from tests.support.conformance import GREETED, Scene, running_scene
from tests.support.driver import Driver
from tests.support.ports import find_port
from tests.support.relay import running_relay

ATTEMPTS = 12


async def test_waiting(driver: Driver, tmp_path: Path) -> None:
    """A call waits for a server that is being started, and no longer than it may take."""
    address = f"127.0.0.1:{find_port()}"
    await driver.connect(address)

    late = {
        op: (await driver.do(op, prompt="greet", variables=GREETED, timeout_ms=300)).failure.code
        for op in ("resolve", "complete", "complete_stream")
    }
    call = driver.do("complete_stream", prompt="greet", variables=GREETED, timeout_ms=60_000)
    waiting = asyncio.ensure_future(call)
    async with running_scene(tmp_path, environ={"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
        (await waiting).check()

    assert set(late.values()) == {"DEADLINE_EXCEEDED"}


async def test_looking_again(driver: Driver, scene: Scene) -> None:
    """A server that cannot be reached is looked for every second, however often in vain."""
    async with running_relay(scene.address, refused=ATTEMPTS) as relay:
        await driver.connect(relay.address)
        # gRPC by itself takes minutes for as many attempts.
        (await driver.do("resolve", prompt="plain", timeout_ms=30_000)).check()
