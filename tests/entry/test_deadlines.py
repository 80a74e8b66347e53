"""What ends calls whose callers keep them waiting."""

import asyncio
import errno

import pytest

from prompt_resolver_server.entry.deadlines import ending_at


async def test_timeout_that_is_no_deadline() -> None:
    """What times out within a call is told as it is, and not as a caller that does not read."""
    with pytest.raises(TimeoutError):
        async with ending_at(asyncio.get_running_loop().time() + 100):
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
