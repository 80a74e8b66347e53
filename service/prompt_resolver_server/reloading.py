"""Reloads the configuration while the service runs: as a whole, or not at all.

Its file is looked at every second, and read once it has changed and then stayed as it is for a
second: half of a file may well be a configuration, and one without those who may call. It is read
at once when the process is told to. What it says now is checked and built beside what serves, and
then takes its place in one step. What is wrong with it is logged, and what serves goes on.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from .assembly.configuration import warn_of
from .assembly.engine import Engine, Retired
from .doors import Doors
from .entry.running import Running
from .logs import set_level, where
from .metrics import Metrics
from .prefetch import Prefetch
from .settings import ConfigError, Loaded
from .settings.load import Looks
from .settings.restart import list_fixed

_log = logging.getLogger(__name__)

_EVERY_S = 1.0
# What is wrong may be mended elsewhere, as where a folder is missing that the file names.
_AGAIN_S = 3.0


class Reloading:
    """Keeps a service as its configuration's file says. Made inside of a running event loop.

    It is read again at once when `asked` is set, whatever its file looks like. What was replaced is
    closed once the calls have ended that ran by then.
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
        asked: asyncio.Event,
    ) -> None:
        self.loaded = loaded
        """The configuration that serves."""
        self._engine = engine
        self._doors = doors
        self._prefetch = prefetch
        self._running = running
        self._metrics = metrics
        self._asked = asked
        self._seen = loaded.looks
        self._failed_at: float | None = None
        self._faults: Sequence[str] = ()
        self._releases: dict[asyncio.Task[None], Retired] = {}
        self._watching: asyncio.Task[None] | None = None
        metrics.config_read()

    def start(self) -> None:
        """Begin to look at the file, and to be asked."""
        self._watching = asyncio.ensure_future(self._watch())

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
        looks = self._seen
        while True:
            asked = await self._is_asked()
            before, looks = looks, self.loaded.look()
            if self.loaded.path is None:
                if asked:
                    _log.warning("there is nothing to reload: the configuration has no file")
            elif asked or (looks == before and self._is_due(looks)):
                self._seen = looks
                await self._try(looks)

    async def _is_asked(self) -> bool:
        """Wait for a while; tell whether that has been cut short."""
        try:
            async with asyncio.timeout(_EVERY_S):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _is_due(self, looks: Looks) -> bool:
        return looks != self._seen or self._is_to_be_tried_again()

    def _is_to_be_tried_again(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at >= _AGAIN_S

    async def _try(self, looks: Looks) -> None:
        """Reload the configuration, or tell why not, once as long as that is the same."""
        faults: Sequence[str] = ()
        try:
            await self._reload(looks)
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

    async def _reload(self, looks: Looks) -> None:
        """Replace what serves. Raises `ConfigError`, and then nothing has changed."""
        loaded = await asyncio.to_thread(self._read, looks)
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
        self.loaded, self._seen = loaded, loaded.looks
        self._release(retired)

    def _read(self, looks: Looks) -> Loaded:
        path = self.loaded.path
        if path is not None and path.exists() and not path.is_file():
            # A pipe is read only once, and keeps whoever opens it before there is a writer.
            raise ConfigError(f"{path}: expected a file, which may be read again")
        loaded = self.loaded.again()
        if loaded.looks[0] != looks[0]:
            raise ConfigError(f"{path}: expected a file that stays as it is for a moment")
        if loaded.is_empty and not self.loaded.is_empty:
            # Nobody means that, and whoever truncates a file to write it has not begun to.
            raise ConfigError(f"{path}: expected a configuration, got an empty file")
        return loaded

    def _release(self, retired: Retired) -> None:
        """Close what served before, once the calls have ended that run now."""

        async def release() -> None:
            await self._running.outlast()
            await self._engine.release(retired)

        task = asyncio.ensure_future(release())
        self._releases[task] = retired
        task.add_done_callback(self._releases.pop)
