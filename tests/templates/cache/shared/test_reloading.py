"""Stores that are replaced share what they serve in their own names."""

from pathlib import Path

import pytest

from tests.support.fleet import look, subscribed
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.redis import RedisProcess, need_redis, running_redis
from tests.support.reloads import reload
from tests.support.service import running_service

pytestmark = pytest.mark.foreign


async def test_store_that_moves_and_returns(tmp_path: Path, require_all: bool) -> None:
    """Nothing of one place is shared as if it were of another; what was shared of each is found."""
    need_redis(require_all=require_all)
    path = tmp_path / "config.yaml"
    async with (
        running_redis(tmp_path) as redis,
        running_humanloop() as first,
        running_humanloop() as second,
    ):
        for api, text in ((first, "one"), (second, "two")):
            api.put("desk", prompt_id="pr_1", version=f"prv_{text}", template=text)
        async with running_service(tmp_path, configure(first, redis)) as service:
            await subscribed(service)
            assert (await look(service))[0] == "one"
            await reload(service, path, configure(second, redis))
            assert (await look(service))[0] == "two"
            await until_shared(redis, 2)
            asked = len(first.requests), len(second.requests)

            await reload(service, path, configure(first, redis))
            assert (await look(service))[0] == "one"
            await reload(service, path, configure(second, redis))
            assert (await look(service))[0] == "two"
            assert (len(first.requests), len(second.requests)) == asked


def configure(api: HumanloopApi, redis: RedisProcess) -> str:
    return f"""
stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: 3600}}}}
cache: {{redis: {{url: '{redis.url}', timeout_s: 2}}}}
"""


async def until_shared(redis: RedisProcess, number: int) -> None:
    """Wait until so many templates are shared."""
    names: list[bytes] = []
    while len(names) != number:
        found = await redis.client.keys("prompt-resolver:*")
        names = [bytes(each) for each in found if not bytes(each).endswith(b":asking")]  # type: ignore[arg-type]
