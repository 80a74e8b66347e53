"""Every client copes with connections that break while its calls are under way."""

import pytest

from tests.support.conformance import GREETED, Scene
from tests.support.driver import Answer, Driver
from tests.support.relay import Relay, running_relay

TIMES = 8
# A call is made three times at most, and so outlives as many.
BREAKS = 2
CALLS = 40


@pytest.mark.parametrize("method", ["resolve", "complete"])
async def test_connections_that_break(driver: Driver, scene: Scene, method: str) -> None:
    """No Resolve fails; a Complete is unavailable and nothing else, and no model is asked twice."""
    async with running_relay(scene.address) as relay:
        await driver.connect(relay.address)
        done = [await call_while_it_breaks(driver, scene, relay, method) for _ in range(TIMES)]

    codes = {error.code for each in done for error in each.errors}
    assert codes <= (set() if method == "resolve" else {"UNAVAILABLE"})
    calls = sum(each.calls for each in done)
    assert calls > TIMES * BREAKS * CALLS
    if method == "complete":
        assert len(scene.upstream.exchanges) <= calls


async def call_while_it_breaks(driver: Driver, scene: Scene, relay: Relay, method: str) -> Answer:
    call = {"method": method, "prompt": "greet", "variables": GREETED, "timeout_ms": 30_000}
    sent = await scene.count(method.title())
    (await driver.do("repeat", **call, concurrency=8)).check()
    for _ in range(BREAKS):
        sent += CALLS
        await scene.sent(method.title(), sent)
        relay.cut()
    await scene.sent(method.title(), sent + CALLS)
    return await driver.do("stop")
