"""Reloads the configuration while the service runs: as a whole, or not at all.

Its file is looked at every second, and when the process is told to. What it says now is read,
checked and built beside what serves, and then takes its place in one step. What is wrong with it is
logged, and what serves goes on.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from .assembly.configuration import warn_of
from .assembly.engine import Engine, Retired
from .doors import Doors
from .entry.running import Running
from .logs import set_level, where
from .metrics import Metrics
from .prefetch import Prefetch
from .settings import ConfigError, Loaded
from .settings.restart import list_fixed
from .settings.secrets import Look, look_at

_log = logging.getLogger(__name__)

_EVERY_S = 1.0
# What is wrong may be mended elsewhere, as where a folder is missing that the file names.
_AGAIN_S = 3.0

_Looks: TypeAlias = tuple[Look | None, ...]


class Reloading:
    """Keeps a service as its configuration's file says. Made inside of a running event loop.

    What was replaced is closed once the calls have ended that ran by then.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        engine: Engine,
        doors: Doors,
        prefetch: Prefetch,
        running: Running,
        metrics: Metrics,
    ) -> None:
        self.loaded = loaded
        """The configuration that serves."""
        self._engine = engine
        self._doors = doors
        self._prefetch = prefetch
        self._running = running
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._seen = _look(loaded)
        self._failed_at: float | None = None
        self._faults: Sequence[str] = ()
        self._releases: dict[asyncio.Task[None], Retired] = {}
        self._watching: asyncio.Task[None] | None = None
        metrics.config_read()

    def start(self) -> None:
        """Begin to look at the file, if there is one."""
        if self.loaded.path is not None:
            self._watching = asyncio.ensure_future(self._watch())

    def ask(self) -> None:
        """Have the configuration read again at once, whatever the file looks like."""
        if self.loaded.path is None:
            _log.warning("there is nothing to reload: the configuration has no file")
            return
        self._asked.set()

    async def stop(self) -> None:
        """Reload nothing more."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def aclose(self) -> None:
        """Reload nothing more, and close what has been replaced, whoever still uses it."""
        await self.stop()
        for task, retired in [*self._releases.items()]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._engine.release(retired)

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            looks = _look(self.loaded)
            if self._asked.is_set() or looks != self._seen or self._is_to_be_tried_again():
                self._asked.clear()
                self._seen = looks
                await self._try()

    def _is_to_be_tried_again(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at >= _AGAIN_S

    async def _try(self) -> None:
        """Reload the configuration, or tell why not, once as long as that is the same."""
        faults: Sequence[str] = ()
        try:
            await self._reload()
        except ConfigError as error:
            faults = error.lines
        except Exception as fault:  # noqa: BLE001 - a fault of ours, which must not end the reloads
            faults = [f"a fault of this server, {type(fault).__name__} at {where(fault)}"]
        self._failed_at = time.monotonic() if faults else None
        if faults:
            self._metrics.config_refused()
            for line in faults if faults != self._faults else ():
                _log.error("the configuration is not reloaded", extra={"fault": line})
        else:
            self._metrics.config_reloaded()
            _log.info("the configuration was reloaded")
        self._faults = faults

    async def _reload(self) -> None:
        """Replace what serves. Raises `ConfigError`, and then nothing has changed."""
        loaded = await asyncio.to_thread(self.loaded.again)
        fixed = [
            line
            for place in list_fixed(self.loaded, loaded)
            for line in loaded.fault(place, "expected no change without a restart").lines
        ]
        if fixed:
            raise ConfigError(*fixed)
        self._doors.check(loaded)
        draft = await self._engine.draft(loaded)
        # Nothing below waits, nor fails.
        retired = self._engine.adopt(draft)
        self._doors.adopt(loaded, self._engine, lost=retired.lost)
        self._prefetch.adopt(self._engine.resolver.catalogue, loaded.settings.prefetch)
        warn_of(loaded, before=self.loaded)
        if (level := loaded.settings.server.log_level) != self.loaded.settings.server.log_level:
            set_level(level)
        self.loaded = loaded
        self._release(retired)

    def _release(self, retired: Retired) -> None:
        """Close what served before, once the calls have ended that run now."""

        async def release() -> None:
            await self._running.outlast()
            await self._engine.release(retired)

        task = asyncio.ensure_future(release())
        self._releases[task] = retired
        task.add_done_callback(self._releases.pop)


def _look(loaded: Loaded) -> _Looks:
    """Return what the files look like that a configuration is read from; None for one that is gone.

    It takes microseconds: less than handing it to a thread would.
    """
    files = [loaded.path] if loaded.path is not None else []
    if (ca_file := loaded.settings.server.ca_file) is not None:
        files.append(loaded.folder / ca_file)
    return tuple(_look_at(file) for file in files)


def _look_at(path: Path) -> Look | None:
    try:
        return look_at(path)
    except OSError:
        return None
