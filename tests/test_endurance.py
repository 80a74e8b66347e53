"""Everything at once: outages, crashes, clocks that stand still, edits, rotations and operators.

`make test ARGS="tests/test_endurance.py -s --soak-s 600"` goes on for longer, and `--seed` goes
another way.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.ordeal import CALM_S, LONG_CALM_S, running_ordeal
from tests.support.redis import RedisProcess, need_redis, running_redis

# A replica that waits for a processor as long as its store may take rightly calls the store down.
pytestmark = [pytest.mark.foreign, pytest.mark.timed]

CHAOS_S = 4.0
ROUND_S = 10.0


@pytest.fixture
async def redis(tmp_path: Path, require_all: bool) -> AsyncIterator[RedisProcess]:
    need_redis(require_all=require_all)
    async with running_redis(tmp_path) as redis:
        yield redis


async def test_endurance(tmp_path: Path, redis: RedisProcess, pytestconfig: pytest.Config) -> None:
    """Whatever happens together, what is served follows from what the store said, as promised."""
    seed = pytestconfig.getoption("--seed")
    rounds = max(2, int(pytestconfig.getoption("--soak-s") / ROUND_S))
    print(f"seed {seed}")
    async with running_ordeal(tmp_path, redis, seed) as ordeal:
        editing = asyncio.ensure_future(ordeal.edit())
        for number in range(rounds):
            await ordeal.chaos(CHAOS_S, number)
            await asyncio.sleep(CALM_S)
        await asyncio.sleep(LONG_CALM_S - CALM_S)
        editing.cancel()
        await ordeal.until_told("prv_last")

    history = ordeal.history
    print(f"{len(history.served)} calls, {len(history.said)} answers, {len(history.told)} events")
    print(dict(sorted(ordeal.outcomes.items())))
    faults = history.faults()
    print(*faults, sep="\n")
    assert [replica.broken for replica in ordeal.replicas] == [[], []]
    assert len(faults) == 0
