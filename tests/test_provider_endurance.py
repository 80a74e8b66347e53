"""Everything at once: providers in every mood, and callers who leave, hurry and have keys.

`make test ARGS="tests/test_provider_endurance.py -s --soak-s 600"` goes on for longer, and `--seed`
goes another way.
"""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from prompt_resolver import AsyncPromptResolverClient
from tests.support.crowd import MODELS, SLOTS, Crowd, running_crowd
from tests.support.vitals import vitals

CHAOS_SHARE = 0.15
"""How much of the time of a soak it is."""
RECOVERY_S = 5.0


async def recover(crowd: Crowd, client: AsyncPromptResolverClient) -> None:
    """Call until everything can be called, which is soon after its provider is well."""
    async with asyncio.timeout(RECOVERY_S + crowd.ledger.late_s):
        for model in MODELS:
            while (await crowd.call(client, model=model)).reason:
                pass
        while await crowd.sum("upstream_breaker_state"):
            await crowd.call(client, alias="chat")


async def fill_slots(crowd: Crowd, client: AsyncPromptResolverClient) -> None:
    """Have a provider with slots use all of them at once: none may have been lost."""
    two = crowd.providers["two"]
    two.gathering = asyncio.Barrier(SLOTS)
    calls = [
        crowd.call(client, model="two/m3", is_stream=number % 2 == 0) for number in range(SLOTS)
    ]
    assert {each.reason for each in await asyncio.gather(*calls)} == {""}
    two.gathering = None


async def rest(crowd: Crowd, client: AsyncPromptResolverClient) -> int:
    """Have all connections to providers closed but one for each; return how many files are open."""
    for _ in range(2):
        for provider in crowd.providers.values():
            provider.upstream.go_down()
            provider.change("ok")
        for model in MODELS:
            assert (await crowd.call(client, model=model)).reason == ""
    # gRPC keeps the connection of a client whose calls were left until those are collected.
    gc.collect()
    return vitals(os.getpid()).files


async def test_provider_endurance(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Whatever happens together, what callers get follows from what providers were asked."""
    seed = pytestconfig.getoption("--seed")
    chaos_s = pytestconfig.getoption("--soak-s") * CHAOS_SHARE
    async with (
        running_crowd(tmp_path, seed) as crowd,
        AsyncPromptResolverClient(crowd.service.address) as client,
    ):
        files, tasks = await rest(crowd, client), len(asyncio.all_tasks())
        await crowd.chaos(chaos_s)
        print(f"seed {seed}:", dict(sorted(crowd.outcomes.items())))
        crowd.calm_down()
        await recover(crowd, client)
        await fill_slots(crowd, client)
        calm = [await crowd.call(client, alias="chat") for _ in range(20)]
        files_left = await rest(crowd, client)
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) > tasks:
                await crowd.service.metrics()
        inflight = await crowd.sum("upstream_inflight")
        ended = await crowd.sum("upstream_request_duration_seconds_count")
        attempts = await crowd.sum("upstream_attempts_total")
        passed_over = await crowd.sum("upstream_attempts_total", 'outcome="passed_over"')

    ledger = crowd.ledger
    calls, asked = len(ledger.calls), len(ledger.asked)
    print(f"{calls} calls, {asked} requests, {passed_over:.0f} passed over", ledger.late_s)
    faults = ledger.faults()
    print(*faults, sep="\n")
    assert len(faults) == 0
    assert {each.reason for each in calm} == {""}
    assert inflight == 0
    assert asked <= ended == attempts - passed_over
    assert files_left <= files + 2
