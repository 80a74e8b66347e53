"""Configurations that are replaced while a service runs."""

import asyncio
import os
import signal
from pathlib import Path

from tests.support.prompts import replace_file
from tests.support.service import RunningService

OK = 'prompt_resolver_config_reloads_total{outcome="ok"}'
REFUSED = 'prompt_resolver_config_reloads_total{outcome="refused"}'
SUCCESSFUL = "prompt_resolver_config_last_reload_successful"


async def reload(
    service: RunningService, path: Path, config: str, *, pid: int | None = None, sample: str = OK
) -> None:
    """Have a service read another configuration at once, and wait until it is in use.

    `pid` is that of its process, if it is not this one; `sample` counts what is to come of it.
    """
    replace_file(path, config)
    # The first may have begun before.
    for _ in range(2):
        before = await service.metric(sample)
        os.kill(pid or os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(30):
            while await service.metric(sample) == before:
                pass


async def refuse(service: RunningService, path: Path, config: str) -> None:
    """Have a service read a configuration that it refuses."""
    await reload(service, path, config, sample=REFUSED)
