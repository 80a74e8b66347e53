"""A Redis server for each test of what replicas share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.redis import RedisProcess, need_redis, running_redis


@pytest.fixture
async def redis(tmp_path: Path, require_all: bool) -> AsyncIterator[RedisProcess]:
    """A server of the test's own."""
    need_redis(require_all=require_all)
    async with running_redis(tmp_path) as redis:
        yield redis
